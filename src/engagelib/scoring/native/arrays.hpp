// Views of NumPy arrays, and how an array that leads outside itself is reported.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace nb = nanobind;

// Contiguous arrays on the processor. Those of `const` element may be read-only, as mapped files are.
template <class T>
using Array1 = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Array2 = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// Indices of either width. The width is looked up at each access: for what is read once or twice a row, not
// for inner loops.
class Indices {
   public:
    using Array = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu, nb::ro>;

    Indices() = default;
    explicit Indices(const Array& array) : data_(array.data()), size_(array.shape(0)) {
        if (array.dtype() == nb::dtype<std::int64_t>()) {
            wide_ = true;
        } else if (array.dtype() != nb::dtype<std::int32_t>()) {
            throw nb::type_error("indices are int32 or int64");
        }
    }

    std::int64_t operator[](std::size_t i) const {
        return wide_ ? static_cast<const std::int64_t*>(data_)[i] : static_cast<const std::int32_t*>(data_)[i];
    }
    std::size_t size() const { return size_; }

   private:
    const void* data_ = nullptr;
    std::size_t size_ = 0;
    bool wide_ = false;
};

// True where a byte is not 0. NumPy's bools may hold any byte, and of a C++ bool compilers assume 0 or 1.
using Mask = const std::uint8_t*;

inline Mask mask_of(const Array1<const bool>& array) { return reinterpret_cast<Mask>(array.data()); }
inline Mask mask_of(const std::optional<Array1<const bool>>& array) {
    return array ? mask_of(*array) : nullptr;
}

#define ENGAGELIB_INLINE inline __attribute__((always_inline))

// Loops over many numbers are compiled for several generations of x86-64 processors, and the best of them is
// chosen when the module is loaded. Sanitizers can't be loaded that early, and GCC 11 can't choose by these names.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    __GNUC__ >= 12 && !defined(ENGAGELIB_SANITIZE)
#define ENGAGELIB_CLONES \
    __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define ENGAGELIB_CLONES
#endif
