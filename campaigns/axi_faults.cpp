// Runs an accelerator with AXI ports on two batches of image packets, the second one when nothing
// more comes of the first, while its registers are read and written all the time.
//
// Arguments: a file, and those that choose a flip. The file has the cycles after which nothing more
// is waited for, then the offsets of a register that is read and of one that 0 is written to, and
// what the first holds, then for each batch the number of beats and they themselves, data, keep and
// last in hexadecimal. Prints a line for each beat of
// results: batch, last and data; and at the end the cycles of it all, those of the first batch, and
// for each batch how many reads and writes had no answer, and how many reads another one.

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "Vaxi.h"
#include "verilated.h"

// A master that gives up after a while, and takes in what it has not asked for. Reads and writes in
// turns.
struct Registers {
    Vaxi &design;
    const unsigned read_offset, write_offset, content;
    unsigned unanswered = 0, wrong = 0;
    bool writes = false;
    int waited = 0;
    bool address_taken = false, data_taken = false;

    void drive() {
        design.s_axi_bready = design.s_axi_rready = 1;
        design.s_axi_araddr = read_offset, design.s_axi_awaddr = write_offset;
        design.s_axi_wdata = 0, design.s_axi_wstrb = 15;
        design.s_axi_arvalid = !writes && !address_taken;
        design.s_axi_awvalid = writes && !address_taken;
        design.s_axi_wvalid = writes && !data_taken;
    }

    // What the edge that comes will transfer.
    void observe() {
        const bool answers = writes ? design.s_axi_bvalid && address_taken && data_taken
                                    : design.s_axi_rvalid && address_taken;
        if (answers) {
            const unsigned response = writes ? design.s_axi_bresp : design.s_axi_rresp;
            wrong += response || (!writes && design.s_axi_rdata != content);
            return next();
        }
        address_taken |= writes ? design.s_axi_awvalid && design.s_axi_awready
                                : design.s_axi_arvalid && design.s_axi_arready;
        data_taken |= design.s_axi_wvalid && design.s_axi_wready;
        if (++waited == 100) ++unanswered, next();
    }

    void next() {
        writes = !writes, waited = 0, address_taken = data_taken = false;
    }
};

struct Beat {
    uint64_t data;
    unsigned keep, last;
};

int main(int count, char **arguments) {
    if (count < 2) return 2;
    std::FILE *const file = std::fopen(arguments[1], "r");
    uint64_t patience;
    unsigned read_offset, write_offset, content;
    if (!file || std::fscanf(file, "%" SCNu64 " %x %x %x", &patience, &read_offset, &write_offset,
                             &content) != 4)
        return 2;
    VerilatedContext context;
    context.commandArgs(count, arguments);
    Vaxi design(&context);
    Registers registers{design, read_offset, write_offset, content};
    uint64_t cycle = 0, first = 0;
    unsigned faults[2][2] = {};
    size_t beats;
    for (int batch = 0; batch < 2 && std::fscanf(file, "%zu", &beats) == 1; ++batch) {
        std::vector<Beat> items(beats);
        for (Beat &item : items)
            if (std::fscanf(file, "%" SCNx64 " %x %x", &item.data, &item.keep, &item.last) != 3)
                return 2;
        registers.unanswered = registers.wrong = 0;
        size_t sent = 0;
        for (uint64_t quiet = 0; quiet < patience; ++cycle, ++quiet) {
            design.aresetn = cycle >= 3;
            design.m_axis_tready = 1;
            design.s_axis_tvalid = design.aresetn && sent < items.size();
            if (sent < items.size()) {
                design.s_axis_tdata = items[sent].data;
                design.s_axis_tkeep = items[sent].keep;
                design.s_axis_tlast = items[sent].last;
            }
            registers.drive();
            design.aclk = 0;
            design.eval();
            if (design.aresetn) registers.observe();
            if (design.s_axis_tvalid && design.s_axis_tready) ++sent, quiet = 0;
            if (design.m_axis_tvalid) {
                std::printf("%d %u %" PRIx64 "\n", batch, unsigned(design.m_axis_tlast),
                            uint64_t(design.m_axis_tdata));
                quiet = 0;
            }
            design.aclk = 1;
            design.eval();
        }
        faults[batch][0] = registers.unanswered, faults[batch][1] = registers.wrong;
        if (!batch) first = cycle;
    }
    std::printf("%" PRIu64 " %" PRIu64 " %u %u %u %u\n", cycle, first, faults[0][0], faults[0][1],
                faults[1][0], faults[1][1]);
}
