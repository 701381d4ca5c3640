// The events of histories as the kernel reads them, and how those of an altered file are found.
#pragma once

#include "arrays.hpp"

struct Events {
    Indices indptr;
    const std::int32_t* item_index;
    const std::int16_t* event_type;
    const std::int64_t* time;  // null where there is none
    const float* share;        // null where nothing was returned
    std::int64_t n_events;
    std::int32_t n_items;
    std::int64_t n_types;

    bool covered() const {
        return indptr.size() > 0 && indptr[0] == 0 && indptr[indptr.size() - 1] == n_events;
    }
    bool holds(std::int64_t start, std::int64_t end) const {
        return 0 <= start && start <= end && end <= n_events;
    }
    bool holds_event(std::int64_t event) const {
        return item_index[event] >= -1 && item_index[event] < n_items && event_type[event] >= 0 &&
               event_type[event] < n_types;
    }
};

// The time between two moments; those of an altered file may be so far apart that it wraps round, and then
// counts as none.
inline std::int64_t span(std::int64_t from, std::int64_t to) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from));
}

template <class T>
const T* data_of(const std::optional<Array1<const T>>& array) {
    return array ? array->data() : nullptr;
}
