// A virtual board: runs a board's top module, and joins its UART pins to a pseudo-terminal.
//
// Arguments: the terminal's file descriptor, clock cycles of a bit, and what the design asks for by
// $value$plusargs. Ends when standard input does. While the board has nothing to do and
// nothing comes in, the clock stands still.

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "Vboard.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

namespace {

// A program that counts coverage is told the file for it before what the design asks for.
constexpr int FIXED_ARGUMENTS = VM_COVERAGE ? 4 : 3;

// Drives the pin rx: a start bit, eight data bits, a stop bit.
class Sender {
public:
    explicit Sender(unsigned divisor) : divisor_(divisor) {}

    void push(const uint8_t *bytes, ssize_t count) { queue_.insert(queue_.end(), bytes, bytes + count); }
    bool idle() const { return left_ == 0 && queue_.empty(); }
    size_t waiting() const { return queue_.size(); }

    bool next() {
        if (left_ == 0) {
            if (queue_.empty()) return true;
            bits_ = 0x200u | queue_.front() << 1;
            queue_.pop_front();
            left_ = 10 * divisor_;
        }
        return bits_ >> (10 * divisor_ - left_--) / divisor_ & 1;
    }

private:
    const unsigned divisor_;
    std::deque<uint8_t> queue_;
    unsigned bits_ = 0, left_ = 0;
};

// Samples the pin tx in the middle of each bit.
class Receiver {
public:
    Receiver(unsigned divisor, bool strict) : divisor_(divisor), strict_(strict) {}

    bool idle() const { return !busy_; }

    // Whether a byte is complete with this cycle.
    bool take(bool line) {
        if (!busy_) {
            busy_ = !line;
            cycle_ = 0;
            return false;
        }
        ++cycle_;
        if (cycle_ % divisor_ != divisor_ / 2) return false;
        const unsigned bit = cycle_ / divisor_;
        if (bit >= 1 && bit <= 8) byte = byte >> 1 | (line ? 0x80 : 0);
        if (bit < 9) return false;
        busy_ = false;
        if (!line && strict_) {
            std::fprintf(stderr, "the board sent a byte without a stop bit\n");
            std::exit(1);
        }
        return line;
    }

    uint8_t byte = 0;

private:
    const unsigned divisor_;
    const bool strict_;
    bool busy_ = false;
    unsigned cycle_ = 0;
};

[[noreturn]] void fail(const char *what) {
    std::perror(what);
    std::exit(1);
}

void write_byte(int terminal, uint8_t byte) {
    while (write(terminal, &byte, 1) < 0) {
        if (errno != EAGAIN && errno != EINTR) fail("write");
        pollfd ready{terminal, POLLOUT, 0};
        if (poll(&ready, 1, 100) == 0) return;      // nobody reads: a UART would lose it as well
    }
}

}  // namespace

int main(int count, char **arguments) {
    if (count < FIXED_ARGUMENTS) return 2;
    const int terminal = std::atoi(arguments[1]);
    const unsigned divisor = std::atoi(arguments[2]);
    std::signal(SIGINT, SIG_IGN);                   // the parent decides when it is over
    if (fcntl(terminal, F_SETFL, O_NONBLOCK) < 0) fail("fcntl");

    VerilatedContext context;
    context.commandArgs(count, arguments);
    Vboard board(&context);
    Sender sender(divisor);
    Receiver receiver(divisor, count == FIXED_ARGUMENTS);  // with further arguments a byte may be damaged
    const auto cycle = [&] {
        board.clk = 0;
        board.eval();
        board.clk = 1;
        board.eval();
    };
    board.rx = 1;
    board.rst = 1;
    cycle();
    board.rst = 0;

    const unsigned burst = 10 * divisor;            // cycles between two looks at the terminal
    const unsigned patience = 20 * burst;           // idle cycles until the clock stands still
    // A board that resets itself takes no notice of what comes before it has.
    for (unsigned step = 0; step < patience; ++step) cycle();
    unsigned quiet = 0;
    for (;;) {
        pollfd files[2] = {{terminal, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        if (poll(files, 2, quiet < patience ? 0 : -1) < 0 && errno != EINTR) fail("poll");
        if (files[1].revents) {
#if VM_COVERAGE
            context.coveragep()->write();
#endif
            return 0;
        }
        if (files[0].revents & POLLIN && sender.waiting() < 4096) {
            uint8_t bytes[4096];
            const ssize_t size = read(terminal, bytes, sizeof bytes);
            if (size < 0 && errno != EAGAIN && errno != EINTR) fail("read");
            if (size > 0) sender.push(bytes, size);
        }
        for (unsigned step = 0; step < burst; ++step) {
            board.rx = sender.next();
            cycle();
            if (receiver.take(board.tx)) write_byte(terminal, receiver.byte);
            // In each cycle: bytes follow each other as bursts do, always with a stop bit at the end.
            const bool idle = sender.idle() && receiver.idle() && board.tx && !board.busy;
            quiet = idle ? quiet + 1 : 0;
        }
    }
}
