// Behaviour of ECP5's block RAM as far as Yosys uses it, for simulation alone (Lattice FPGA-TN-02204).
//
// A row of 18 bits is two bytes of 9, of which widths below 9 use 8. Of a width of 36, port A writes
// and port B reads. What a port reads while the other one writes it is turned over, as a warning:
// the block RAM promises nothing. Reads while the port itself writes leave the output as it was.
module DP16KD #(
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL", GSR = "ENABLED",
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB",
    parameter [319:0]
        INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 = 0,
        INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0,
        INITVAL_0A = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0,
        INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0,
        INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0, INITVAL_18 = 0,
        INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0, INITVAL_1D = 0,
        INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0,
        INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0,
        INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0, INITVAL_2C = 0,
        INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0, INITVAL_31 = 0,
        INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0,
        INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
        INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0
) (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0
);
    reg [17:0] rows [0:1023];
    integer i;
    initial begin
        for (i = 0; i < 16; i = i + 1) rows[0 + i] = INITVAL_00[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[16 + i] = INITVAL_01[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[32 + i] = INITVAL_02[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[48 + i] = INITVAL_03[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[64 + i] = INITVAL_04[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[80 + i] = INITVAL_05[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[96 + i] = INITVAL_06[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[112 + i] = INITVAL_07[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[128 + i] = INITVAL_08[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[144 + i] = INITVAL_09[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[160 + i] = INITVAL_0A[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[176 + i] = INITVAL_0B[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[192 + i] = INITVAL_0C[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[208 + i] = INITVAL_0D[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[224 + i] = INITVAL_0E[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[240 + i] = INITVAL_0F[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[256 + i] = INITVAL_10[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[272 + i] = INITVAL_11[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[288 + i] = INITVAL_12[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[304 + i] = INITVAL_13[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[320 + i] = INITVAL_14[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[336 + i] = INITVAL_15[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[352 + i] = INITVAL_16[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[368 + i] = INITVAL_17[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[384 + i] = INITVAL_18[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[400 + i] = INITVAL_19[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[416 + i] = INITVAL_1A[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[432 + i] = INITVAL_1B[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[448 + i] = INITVAL_1C[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[464 + i] = INITVAL_1D[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[480 + i] = INITVAL_1E[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[496 + i] = INITVAL_1F[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[512 + i] = INITVAL_20[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[528 + i] = INITVAL_21[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[544 + i] = INITVAL_22[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[560 + i] = INITVAL_23[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[576 + i] = INITVAL_24[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[592 + i] = INITVAL_25[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[608 + i] = INITVAL_26[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[624 + i] = INITVAL_27[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[640 + i] = INITVAL_28[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[656 + i] = INITVAL_29[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[672 + i] = INITVAL_2A[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[688 + i] = INITVAL_2B[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[704 + i] = INITVAL_2C[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[720 + i] = INITVAL_2D[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[736 + i] = INITVAL_2E[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[752 + i] = INITVAL_2F[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[768 + i] = INITVAL_30[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[784 + i] = INITVAL_31[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[800 + i] = INITVAL_32[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[816 + i] = INITVAL_33[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[832 + i] = INITVAL_34[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[848 + i] = INITVAL_35[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[864 + i] = INITVAL_36[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[880 + i] = INITVAL_37[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[896 + i] = INITVAL_38[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[912 + i] = INITVAL_39[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[928 + i] = INITVAL_3A[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[944 + i] = INITVAL_3B[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[960 + i] = INITVAL_3C[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[976 + i] = INITVAL_3D[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[992 + i] = INITVAL_3E[20 * i +: 18];
        for (i = 0; i < 16; i = i + 1) rows[1008 + i] = INITVAL_3F[20 * i +: 18];
    end

    wire [13:0] address_A = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4,
        ADA3, ADA2, ADA1, ADA0};
    wire [17:0] low_A = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8,
        DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [13:0] address_B = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4,
        ADB3, ADB2, ADB1, ADB0};
    wire [17:0] low_B = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8,
        DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};

    // 36 bits: both halves of the data go to port A.
    function [35:0] read(input [13:0] address, input integer width);
        reg [17:0] row;
        begin
            row = rows[address[13:4]];
            case (width)
                36: read = {rows[{address[13:5], 1'b1}], rows[{address[13:5], 1'b0}]};
                18: read = {18'b0, row};
                9: read = address[3] ? row[17:9] : row[8:0];
                4: read = row[address[3] * 9 + address[2] * 4 +: 4];
                2: read = row[address[3] * 9 + address[2:1] * 2 +: 2];
                default: read = row[address[3] * 9 + address[2:0] +: 1];
            endcase
        end
    endfunction
    function overlap(input [13:0] a, input integer wa, input [13:0] b, input integer wb);
        overlap = wa == 36 || wb == 36 ? a[13:5] == b[13:5] : a[13:4] == b[13:4];
    endfunction

    task write_A;
        case (DATA_WIDTH_A)
            36: begin
                if (address_A[0]) rows[{address_A[13:5], 1'b0}][8:0] <= low_A[8:0];
                if (address_A[1]) rows[{address_A[13:5], 1'b0}][17:9] <= low_A[17:9];
                if (address_A[2]) rows[{address_A[13:5], 1'b1}][8:0] <= low_B[8:0];
                if (address_A[3]) rows[{address_A[13:5], 1'b1}][17:9] <= low_B[17:9];
            end
            18: begin
                if (address_A[0]) rows[address_A[13:4]][8:0] <= low_A[8:0];
                if (address_A[1]) rows[address_A[13:4]][17:9] <= low_A[17:9];
            end
            9: if (address_A[3]) rows[address_A[13:4]][17:9] <= low_A[8:0];
               else rows[address_A[13:4]][8:0] <= low_A[8:0];
            4: rows[address_A[13:4]][address_A[3] * 9 + address_A[2] * 4 +: 4] <= low_A[3:0];
            2: rows[address_A[13:4]][address_A[3] * 9 + address_A[2:1] * 2 +: 2] <= low_A[1:0];
            default: rows[address_A[13:4]][address_A[3] * 9 + address_A[2:0] +: 1] <= low_A[0];
        endcase
    endtask

    task write_B;
        case (DATA_WIDTH_B)
            36: begin
                if (address_B[0]) rows[{address_B[13:5], 1'b0}][8:0] <= low_A[8:0];
                if (address_B[1]) rows[{address_B[13:5], 1'b0}][17:9] <= low_A[17:9];
                if (address_B[2]) rows[{address_B[13:5], 1'b1}][8:0] <= low_B[8:0];
                if (address_B[3]) rows[{address_B[13:5], 1'b1}][17:9] <= low_B[17:9];
            end
            18: begin
                if (address_B[0]) rows[address_B[13:4]][8:0] <= low_B[8:0];
                if (address_B[1]) rows[address_B[13:4]][17:9] <= low_B[17:9];
            end
            9: if (address_B[3]) rows[address_B[13:4]][17:9] <= low_B[8:0];
               else rows[address_B[13:4]][8:0] <= low_B[8:0];
            4: rows[address_B[13:4]][address_B[3] * 9 + address_B[2] * 4 +: 4] <= low_B[3:0];
            2: rows[address_B[13:4]][address_B[3] * 9 + address_B[2:1] * 2 +: 2] <= low_B[1:0];
            default: rows[address_B[13:4]][address_B[3] * 9 + address_B[2:0] +: 1] <= low_B[0];
        endcase
    endtask

    wire active_A = CEA & ~(CSA2 | CSA1 | CSA0), active_B = CEB & ~(CSB2 | CSB1 | CSB0);
    // With bytes of their own, WEA alone writes nothing.
    wire writes_A = active_A & WEA & (DATA_WIDTH_A == 36 ? |address_A[3:0] :
                                      DATA_WIDTH_A == 18 ? |address_A[1:0] : 1'b1);
    wire writes_B = active_B & WEB & (DATA_WIDTH_B == 18 ? |address_B[1:0] : 1'b1);
    wire overlaps = overlap(address_A, DATA_WIDTH_A, address_B, DATA_WIDTH_B);
    reg [35:0] read_A = 0, read_B = 0, kept_A = 0, kept_B = 0;
    wire clock_A = CLKAMUX == "INV" ? ~CLKA : CLKA;
    always @(posedge clock_A) begin
        if (writes_A) write_A;
        if (RSTA) read_A <= 0;
        else if (active_A & ~WEA)
            read_A <= read(address_A, DATA_WIDTH_A) ^ {36{writes_B & overlaps}};
        if (RSTA) kept_A <= 0;
        else if (OCEA) kept_A <= read_A;
    end
    wire [35:0] out_A = REGMODE_A == "OUTREG" ? kept_A : read_A;
    wire clock_B = CLKBMUX == "INV" ? ~CLKB : CLKB;
    always @(posedge clock_B) begin
        if (writes_B) write_B;
        if (RSTB) read_B <= 0;
        else if (active_B & ~WEB)
            read_B <= read(address_B, DATA_WIDTH_B) ^ {36{writes_A & overlaps}};
        if (RSTB) kept_B <= 0;
        else if (OCEB) kept_B <= read_B;
    end
    wire [35:0] out_B = REGMODE_B == "OUTREG" ? kept_B : read_B;
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0} = DATA_WIDTH_B == 36 ? out_B[17:0] : out_A[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0} = DATA_WIDTH_B == 36 ? out_B[35:18] : out_B[17:0];
endmodule
