-- Drives a network that Spiker+ wrote with random spikes and prints the clock cycles of an image:
-- from the edge that takes `start` to the edge that raises `ready`. The spikes of a timestep are
-- all there when `sample` asks for them; loading and encoding them takes no time here.

library ieee;
use ieee.std_logic_1164.all;
use ieee.math_real.uniform;
use std.textio.all;

entity spiker_bench is
    generic (n_input : positive; per_thousand : natural := 130);
end entity;

architecture simulation of spiker_bench is
    signal clk, rst_n, start, ready, sample : std_logic := '0';
    signal in_spikes : std_logic_vector(n_input - 1 downto 0);
    signal finished : boolean := false;
begin
    dut : entity work.network port map (
        clk => clk, rst_n => rst_n, start => start, sample_ready => '1', ready => ready,
        sample => sample, in_spikes => in_spikes);

    clk <= not clk after 5 ns when not finished else '0';
    rst_n <= '1' after 42 ns;

    spikes : process
        variable seed1, seed2 : positive := 1;
        variable random : real;
    begin
        for i in in_spikes'range loop
            uniform(seed1, seed2, random);
            in_spikes(i) <= '1' when random * 1000.0 < real(per_thousand) else '0';
        end loop;
        wait until falling_edge(clk) and sample = '1';
    end process;

    image : process
        variable cycles : natural := 0;
    begin
        wait until falling_edge(clk) and ready = '1';
        start <= '1';
        loop
            wait until falling_edge(clk);
            start <= '0';
            cycles := cycles + 1;
            exit when ready = '1';
        end loop;
        write(output, "cycles " & integer'image(cycles) & LF);
        finished <= true;
        wait;
    end process;
end architecture;
