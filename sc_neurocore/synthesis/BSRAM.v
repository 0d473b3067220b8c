// Behaviour of Gowin's block RAM as far as Yosys uses it, for simulation alone (Gowin UG285).
//
// It is 2048 bytes of 8 bits, or of 9 in the cells with a 9 in their names. A port of several bytes
// has an enable for each in the lowest bits of its address, for writing. What a port reads while
// the other one writes it is turned over, as a warning: the block RAM promises nothing. While the
// port itself writes, its output stays (mode 0), is what is there then (1) or was there before (2). A
// reset is taken to be in step with the clock: where Yosys says that it is not, it is constant.
`define BSRAM_INIT(bits) \
    parameter [bits - 1:0] \
        INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, \
        INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, \
        INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0, \
        INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0, \
        INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0, \
        INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0, \
        INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0, \
        INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, \
        INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, \
        INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0, \
        INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0, \
        INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0, \
        INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0
`define BSRAM_CONTENTS \
    { \
        INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, \
        INIT_RAM_39, INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, \
        INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, \
        INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, \
        INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, \
        INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, \
        INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16, \
        INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, \
        INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, \
        INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, \
        INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00 \
    }

module BSRAM #(
    parameter BYTE = 8, WIDTH_A = 8, WIDTH_B = 8, MODE_A = 0, MODE_B = 0, REGISTERED = 0,
    parameter [2048 * BYTE - 1:0] CONTENTS = 0
) (
    input clk_a, active_a, write_a, reset_a, input [13:0] address_a, input [4 * BYTE - 1:0] in_a,
    output reg [4 * BYTE - 1:0] out_a,
    input clk_b, active_b, write_b, reset_b, input [13:0] address_b, input [4 * BYTE - 1:0] in_b,
    output reg [4 * BYTE - 1:0] out_b
);
    reg [BYTE - 1:0] bytes [0:2047];
    integer i;
    initial begin
        if (REGISTERED) $fatal(1, "BSRAM has no model of its output register");
        for (i = 0; i < 2048; i = i + 1) bytes[i] = CONTENTS[BYTE * i +: BYTE];
        out_a = 0;
        out_b = 0;
    end

    // First of the bytes of a port's row, and the lowest bit in it.
    function [10:0] first(input [13:0] address, input integer width);
        first = width == 4 * BYTE ? {address[13:5], 2'b0} :
                width == 2 * BYTE ? {address[13:4], 1'b0} : address[13:3];
    endfunction
    function [2:0] low(input [13:0] address, input integer width);
        low = width == 1 ? address[2:0] : width == 2 ? {address[2:1], 1'b0} :
              width == 4 ? {address[2], 2'b0} : 3'b0;
    endfunction
    function [4 * BYTE - 1:0] read(input [13:0] address, input integer width);
        integer j;
        begin
            read = 0;
            if (width < 8)
                read = (bytes[address[13:3]] >> low(address, width)) & ((1 << width) - 1);
            else for (j = 0; j * BYTE < width; j = j + 1)
                read[BYTE * j +: BYTE] = bytes[first(address, width) + j];
        end
    endfunction
    function [4 * BYTE - 1:0] written(input [13:0] address, input integer width,
                                      input [4 * BYTE - 1:0] data);
        integer j;
        begin
            written = width < 8 ? data & ((1 << width) - 1) : read(address, width);
            for (j = 0; j * BYTE < width; j = j + 1)
                if (width >= 8 && (width <= BYTE || address[j]))
                    written[BYTE * j +: BYTE] = data[BYTE * j +: BYTE];
        end
    endfunction
    function overlap(input [10:0] a, input integer wa, input [10:0] b, input integer wb);
        overlap = wa > wb ? first({b, 3'b0}, wa) == first({a, 3'b0}, wa)
                          : first({b, 3'b0}, wb) == first({a, 3'b0}, wb);
    endfunction

    task write(input [13:0] address, input integer width, input [4 * BYTE - 1:0] data);
        integer j;
        if (width == 8 || width == BYTE) bytes[address[13:3]] <= data[BYTE - 1:0];
        else if (width < 8) for (j = 0; j < width; j = j + 1)
            bytes[address[13:3]][low(address, width) + j] <= data[j];
        else for (j = 0; j * BYTE < width; j = j + 1)
            if (address[j]) bytes[first(address, width) + j] <= data[BYTE * j +: BYTE];
    endtask

    wire writes_a = active_a & write_a, writes_b = active_b & write_b;
    wire overlaps = overlap(address_a[13:3], WIDTH_A, address_b[13:3], WIDTH_B);
    always @(posedge clk_a) begin
        if (writes_a) write(address_a, WIDTH_A, in_a);
        if (reset_a) out_a <= 0;
        else if (writes_a & MODE_A == 1) out_a <= written(address_a, WIDTH_A, in_a);
        else if (active_a & (~write_a | MODE_A == 2))
            out_a <= read(address_a, WIDTH_A) ^ {4 * BYTE{writes_b & overlaps}};
    end
    always @(posedge clk_b) begin
        if (writes_b) write(address_b, WIDTH_B, in_b);
        if (reset_b) out_b <= 0;
        else if (writes_b & MODE_B == 1) out_b <= written(address_b, WIDTH_B, in_b);
        else if (active_b & (~write_b | MODE_B == 2))
            out_b <= read(address_b, WIDTH_B) ^ {4 * BYTE{writes_a & overlaps}};
    end
endmodule

module SP #(
    `BSRAM_INIT(256),
    parameter READ_MODE = 0, WRITE_MODE = 0, BIT_WIDTH = 32, BLK_SEL = 0, RESET_MODE = "SYNC"
) (
    input CLK, CE, OCE, RESET, WRE, input [2:0] BLKSEL, input [13:0] AD, input [31:0] DI,
    output [31:0] DO
);
    BSRAM #(.BYTE(8), .WIDTH_A(BIT_WIDTH), .MODE_A(WRITE_MODE), .REGISTERED(READ_MODE),
            .CONTENTS(`BSRAM_CONTENTS)) ram (
        .clk_a(CLK), .active_a(CE), .write_a(WRE), .reset_a(RESET), .address_a(AD), .in_a(DI),
        .out_a(DO), .clk_b(1'b0), .active_b(1'b0), .write_b(1'b0), .reset_b(1'b0),
        .address_b(14'b0), .in_b(32'b0), .out_b());
endmodule

module SPX9 #(
    `BSRAM_INIT(288),
    parameter READ_MODE = 0, WRITE_MODE = 0, BIT_WIDTH = 36, BLK_SEL = 0, RESET_MODE = "SYNC"
) (
    input CLK, CE, OCE, RESET, WRE, input [2:0] BLKSEL, input [13:0] AD, input [35:0] DI,
    output [35:0] DO
);
    BSRAM #(.BYTE(9), .WIDTH_A(BIT_WIDTH), .MODE_A(WRITE_MODE), .REGISTERED(READ_MODE),
            .CONTENTS(`BSRAM_CONTENTS)) ram (
        .clk_a(CLK), .active_a(CE), .write_a(WRE), .reset_a(RESET), .address_a(AD), .in_a(DI),
        .out_a(DO), .clk_b(1'b0), .active_b(1'b0), .write_b(1'b0), .reset_b(1'b0),
        .address_b(14'b0), .in_b(36'b0), .out_b());
endmodule

module SDPB #(
    `BSRAM_INIT(256),
    parameter READ_MODE = 0, BIT_WIDTH_0 = 32, BIT_WIDTH_1 = 32, BLK_SEL_0 = 0, BLK_SEL_1 = 0,
    parameter RESET_MODE = "SYNC"
) (
    input CLKA, CEA, RESETA, CLKB, CEB, RESETB, OCE, input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB, input [31:0] DI, output [31:0] DO
);
    BSRAM #(.BYTE(8), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .REGISTERED(READ_MODE),
            .CONTENTS(`BSRAM_CONTENTS)) ram (
        .clk_a(CLKA), .active_a(CEA), .write_a(1'b1), .reset_a(RESETA), .address_a(ADA), .in_a(DI),
        .out_a(), .clk_b(CLKB), .active_b(CEB), .write_b(1'b0), .reset_b(RESETB),
        .address_b(ADB), .in_b(32'b0), .out_b(DO));
endmodule

module SDPX9B #(
    `BSRAM_INIT(288),
    parameter READ_MODE = 0, BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, BLK_SEL_0 = 0, BLK_SEL_1 = 0,
    parameter RESET_MODE = "SYNC"
) (
    input CLKA, CEA, RESETA, CLKB, CEB, RESETB, OCE, input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB, input [35:0] DI, output [35:0] DO
);
    BSRAM #(.BYTE(9), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .REGISTERED(READ_MODE),
            .CONTENTS(`BSRAM_CONTENTS)) ram (
        .clk_a(CLKA), .active_a(CEA), .write_a(1'b1), .reset_a(RESETA), .address_a(ADA), .in_a(DI),
        .out_a(), .clk_b(CLKB), .active_b(CEB), .write_b(1'b0), .reset_b(RESETB),
        .address_b(ADB), .in_b(36'b0), .out_b(DO));
endmodule

module DPB #(
    `BSRAM_INIT(256),
    parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0,
    parameter BIT_WIDTH_0 = 16, BIT_WIDTH_1 = 16, BLK_SEL_0 = 0, BLK_SEL_1 = 0,
    parameter RESET_MODE = "SYNC"
) (
    input CLKA, CEA, OCEA, WREA, RESETA, CLKB, CEB, OCEB, WREB, RESETB,
    input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB,
    input [15:0] DIA, DIB, output [15:0] DOA, DOB
);
    wire [31:0] out_a, out_b;
    BSRAM #(.BYTE(8), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1),
            .MODE_A(WRITE_MODE0), .MODE_B(WRITE_MODE1), .REGISTERED(READ_MODE0 | READ_MODE1),
            .CONTENTS(`BSRAM_CONTENTS)) ram (
        .clk_a(CLKA), .active_a(CEA), .write_a(WREA), .reset_a(RESETA), .address_a(ADA),
        .in_a({16'b0, DIA}), .out_a(out_a),
        .clk_b(CLKB), .active_b(CEB), .write_b(WREB), .reset_b(RESETB), .address_b(ADB),
        .in_b({16'b0, DIB}), .out_b(out_b));
    assign DOA = out_a[15:0], DOB = out_b[15:0];
endmodule

module DPX9B #(
    `BSRAM_INIT(288),
    parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0,
    parameter BIT_WIDTH_0 = 18, BIT_WIDTH_1 = 18, BLK_SEL_0 = 0, BLK_SEL_1 = 0,
    parameter RESET_MODE = "SYNC"
) (
    input CLKA, CEA, OCEA, WREA, RESETA, CLKB, CEB, OCEB, WREB, RESETB,
    input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB,
    input [17:0] DIA, DIB, output [17:0] DOA, DOB
);
    wire [35:0] out_a, out_b;
    BSRAM #(.BYTE(9), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1),
            .MODE_A(WRITE_MODE0), .MODE_B(WRITE_MODE1), .REGISTERED(READ_MODE0 | READ_MODE1),
            .CONTENTS(`BSRAM_CONTENTS)) ram (
        .clk_a(CLKA), .active_a(CEA), .write_a(WREA), .reset_a(RESETA), .address_a(ADA),
        .in_a({18'b0, DIA}), .out_a(out_a),
        .clk_b(CLKB), .active_b(CEB), .write_b(WREB), .reset_b(RESETB), .address_b(ADB),
        .in_b({18'b0, DIB}), .out_b(out_b));
    assign DOA = out_a[17:0], DOB = out_b[17:0];
endmodule
