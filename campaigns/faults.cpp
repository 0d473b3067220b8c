// Runs an accelerator on two batches of images, the second one when nothing more comes of the first.
//
// Arguments: a file, and those that choose a flip. The file has the cycles after which nothing more
// is waited for, then for each batch the number of transfers and they themselves. Prints a line for
// each result: batch, cycle and payload; and at the end the cycles of it all.

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "Vaccelerator.h"
#include "verilated.h"

// With parity: layer, from 1, and row of the weights that are reported as corrupted.
template <typename Design>
auto report(const Design &design, int) -> decltype(void(design.corrupted_layer)) {
    std::printf(" %u %u", unsigned(design.corrupted_layer), unsigned(design.corrupted_row));
}
template <typename Design> void report(const Design &, long) {}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    std::FILE *const file = std::fopen(arguments[1], "r");
    uint64_t patience;
    if (!file || std::fscanf(file, "%" SCNu64, &patience) != 1) return 2;
    VerilatedContext context;
    context.commandArgs(count, arguments);
    Vaccelerator design(&context);
    design.results___05Fready = 1;
    // What Verilator makes of intensities__payload and the like.
    auto &payload = design.intensities___05Fpayload;
    auto &valid = design.intensities___05Fvalid;
    uint64_t cycle = 0;
    size_t transfers;
    for (int batch = 0; std::fscanf(file, "%zu", &transfers) == 1; ++batch) {
        std::vector<uint64_t> items(transfers);
        for (uint64_t &item : items)
            if (std::fscanf(file, "%" SCNu64, &item) != 1) return 2;
        size_t sent = 0;
        for (uint64_t quiet = 0; quiet < patience; ++cycle, ++quiet) {
            valid = sent < items.size();
            if (sent < items.size()) payload = items[sent];
            design.clk = 0;
            design.eval();
            if (valid && design.intensities___05Fready) ++sent, quiet = 0;
            if (design.results___05Fvalid) {
                std::printf("%d %" PRIu64 " %" PRIu64 "\n", batch, cycle,
                            uint64_t(design.results___05Fpayload));
                quiet = 0;
            }
            design.clk = 1;
            design.eval();
        }
    }
    std::printf("%" PRIu64, cycle);
    report(design, 0);
    std::printf("\n");
}
