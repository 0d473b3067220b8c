// Behaviour of the iCE40UP5K's single-port RAM of 16,384 words of 16 bits, for simulation alone.
// While WREN is high, DATAOUT keeps what it was. There are no contents to begin with: they are
// random here, as a warning. In standby, asleep or without power (POWEROFF is 0) nothing happens.
module SB_SPRAM256KA (
    input CLOCK, CHIPSELECT, WREN, STANDBY, SLEEP, POWEROFF,
    input [13:0] ADDRESS,
    input [15:0] DATAIN,
    input [3:0] MASKWREN,
    output reg [15:0] DATAOUT
);
    reg [15:0] words [0:16383];
    integer i;
    initial for (i = 0; i < 16384; i = i + 1) words[i] = 16'(i * 40503) ^ 16'h5ca1;
    wire works = CHIPSELECT & ~STANDBY & ~SLEEP & POWEROFF;
    always @(posedge CLOCK)
        if (works) begin
            if (WREN) begin
                if (MASKWREN[0]) words[ADDRESS][3:0] <= DATAIN[3:0];
                if (MASKWREN[1]) words[ADDRESS][7:4] <= DATAIN[7:4];
                if (MASKWREN[2]) words[ADDRESS][11:8] <= DATAIN[11:8];
                if (MASKWREN[3]) words[ADDRESS][15:12] <= DATAIN[15:12];
            end else
                DATAOUT <= words[ADDRESS];
        end
endmodule
