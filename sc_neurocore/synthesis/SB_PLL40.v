// The PLL of iCE40, as far as a simulation without time goes: the clock that comes out stands for
// both, so a simulation counts its cycles. It has locked whenever it is not in reset.

module SB_PLL40_CORE (
    input REFERENCECLK, output PLLOUTCORE, output PLLOUTGLOBAL,
    input EXTFEEDBACK, input [7:0] DYNAMICDELAY, output LOCK, input BYPASS, input RESETB,
    input LATCHINPUTVALUE, output SDO, input SDI, input SCLK);
  parameter FEEDBACK_PATH = "SIMPLE";
  parameter DELAY_ADJUSTMENT_MODE_FEEDBACK = "FIXED";
  parameter DELAY_ADJUSTMENT_MODE_RELATIVE = "FIXED";
  parameter PLLOUT_SELECT = "GENCLK";
  parameter SHIFTREG_DIV_MODE = 0;
  parameter FDA_FEEDBACK = 0;
  parameter FDA_RELATIVE = 0;
  parameter DIVR = 0;
  parameter DIVF = 0;
  parameter DIVQ = 0;
  parameter FILTER_RANGE = 0;
  parameter ENABLE_ICEGATE = 0;
  parameter TEST_MODE = 0;
  assign PLLOUTCORE = REFERENCECLK;
  assign PLLOUTGLOBAL = REFERENCECLK;
  assign LOCK = RESETB;
  assign SDO = 0;
endmodule
