// Threads over blocks of rows, created and joined within a call: none survives it, so a fork between calls
// finds nothing to inherit.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

constexpr std::size_t kMostThreads = 256;

// Call `work(start, stop)` for each block of `size` rows, on up to `n_threads` threads, this one among them.
// What a block throws is thrown again here, after all threads have ended; of several the first.
template <class Work>
void over_blocks(std::size_t n_rows, std::size_t size, int n_threads, Work&& work) {
    const std::size_t n_blocks = (n_rows + size - 1) / size;
    if (n_blocks == 0) return;
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    std::mutex guard;
    auto run = [&] {
        try {
            for (std::size_t block; (block = next.fetch_add(1)) < n_blocks;) {
                work(block * size, std::min(n_rows, (block + 1) * size));
            }
        } catch (...) {
            std::lock_guard<std::mutex> lock(guard);
            if (!failure) failure = std::current_exception();
            next.store(n_blocks);
        }
    };
    std::vector<std::thread> others;
    const std::size_t asked = n_threads > 1 ? static_cast<std::size_t>(n_threads) : 1;
    const std::size_t wanted = std::min({asked, n_blocks, kMostThreads});
    try {
        others.reserve(wanted - 1);
        for (std::size_t i = 1; i < wanted; ++i) others.emplace_back(run);
    } catch (const std::exception&) {
        // The system gives no more threads, or memory for them: those that there are do the work.
    }
    run();
    for (auto& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}
