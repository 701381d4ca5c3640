// Dense scoring at the boundary: whole calls, cut into blocks of queries.
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "dense_search.hpp"
#include "workers.hpp"

namespace dense {

// The available items alone, where they are few: what is skipped costs as much as what is looked at.
class Narrowed {
   public:
    Narrowed(Call& call, bool gather) {
        for (std::size_t item = 0; item < call.n_items; ++item) {
            if (!call.available[item]) continue;
            const std::int32_t place = call.place[item];
            if (static_cast<std::uint32_t>(place) < call.n_items) positions_.push_back(place);
        }
        std::sort(positions_.begin(), positions_.end());
        Shelf& shelf = call.shelf;
        for (const auto at : positions_) {
            norms_.push_back(shelf.norms[at]);
            items_.push_back(shelf.items[at]);
        }
        if (gather) {
            const std::size_t n = call.n_factors;
            vectors_.resize(positions_.size() * n);
            for (std::size_t i = 0; i < positions_.size(); ++i) {
                std::memcpy(vectors_.data() + i * n, shelf.rows[positions_[i]], n * sizeof(float));
            }
        }
        const Rows rows{gather ? vectors_.data() : shelf.rows.vectors, gather ? nullptr : positions_.data(),
                        call.n_factors};
        shelf = {rows, norms_.data(), items_.data(), positions_.size(), positions_.data()};
    }

   private:
    std::vector<std::int32_t> positions_, items_;
    std::vector<double> norms_;
    std::vector<float> vectors_;
};

thread_local Scratch scratch;

// Memory that one unusual call needed is not kept for ever.
void release_much() {
    constexpr std::size_t much = std::size_t{1} << 22;
    if (scratch.keys.size() > much || scratch.packed.size() > much || scratch.barred.capacity() > much) {
        scratch = Scratch();
    }
}

std::int64_t search(Call& call, int n_threads) {
    std::optional<Narrowed> narrowed;
    if (call.available != nullptr) {
        std::size_t n_available = 0;
        for (std::size_t item = 0; item < call.n_items; ++item) n_available += call.available[item] != 0;
        call.masked = 10 * n_available >= call.n_items;
        if (!call.masked) narrowed.emplace(call, call.n_rows > FEW && call.multiply != nullptr);
    }
    call.depth = std::min(call.k, call.shelf.size);
    if (call.depth == 0) {
        std::fill(call.item_index, call.item_index + call.n_rows * call.k, -1);
        std::fill(call.score, call.score + call.n_rows * call.k, NEVER);
        return 0;
    }
    std::size_t size = std::min(BLOCK, std::max<std::size_t>(1, KEYS / Search::keys_of(call)));
    const std::size_t n_workers = n_threads > 1 ? static_cast<std::size_t>(n_threads) : 1;
    size = std::min(size, std::max(SHARE, (call.n_rows + n_workers - 1) / n_workers));
    std::atomic<std::int64_t> n_products{0};
    over_blocks(call.n_rows, size, n_threads, [&](std::size_t start, std::size_t stop) {
        Search one(call, scratch);
        one.block(start, stop);
        n_products += one.n_products();
        release_much();
    });
    return n_products;
}

// Fill the lists; returns how many products were computed, or -1 - the position of an altered item.
std::int64_t topk(const Array2<const float>& queries, const Array2<const float>& by_norm,
                  const Array1<const double>& norms, const Array1<const std::int32_t>& permutation,
                  const Array1<const std::int32_t>& place, const std::optional<Indices::Array>& indptr,
                  const std::optional<Indices::Array>& excluded,
                  const std::optional<Array1<const std::uint8_t>>& available,
                  const Array2<std::int32_t>& item_index, const Array2<float>& score, std::uintptr_t multiply, int n_threads) {
    const std::size_t n_items = by_norm.shape(0), n_factors = by_norm.shape(1), n_rows = queries.shape(0);
    if (queries.shape(1) != n_factors || norms.shape(0) != n_items || permutation.shape(0) != n_items ||
        place.shape(0) != n_items || (available && available->shape(0) != n_items) ||
        (indptr && (!excluded || indptr->shape(0) != n_rows + 1)) || item_index.shape(0) != n_rows ||
        score.shape(0) != n_rows || score.shape(1) != item_index.shape(1)) {
        throw nb::value_error("the arrays do not fit each other");
    }
    const Indices starts = indptr ? Indices(*indptr) : Indices();
    const Indices items = indptr ? Indices(*excluded) : Indices();
    Call call{};
    call.queries = queries.data();
    call.n_rows = n_rows, call.n_items = n_items, call.n_factors = n_factors, call.k = item_index.shape(1);
    call.shelf = {{by_norm.data(), nullptr, n_factors}, norms.data(), permutation.data(), n_items, nullptr};
    call.place = place.data();
    call.available = available ? available->data() : nullptr;
    call.indptr = indptr ? &starts : nullptr;
    call.excluded = &items;
    call.multiply = reinterpret_cast<Product>(multiply);
    call.item_index = item_index.data();
    call.score = score.data();
    nb::gil_scoped_release released;
    try {
        return search(call, n_threads);
    } catch (const Altered& altered) {
        return -1 - static_cast<std::int64_t>(altered.position);
    }
}

// Score the wanted items of each row; -1 is padding.
void pairs(const Array2<const float>& queries, const Array2<const float>& factors,
           const Array2<const std::int64_t>& wanted, const Array2<float>& score, int n_threads) {
    const std::size_t n_items = factors.shape(0), n_factors = factors.shape(1), m = wanted.shape(1);
    if (queries.shape(1) != n_factors || wanted.shape(0) != queries.shape(0) ||
        score.shape(0) != queries.shape(0) || score.shape(1) != m) {
        throw nb::value_error("the arrays do not fit each other");
    }
    const Rows rows{factors.data(), nullptr, n_factors};
    const std::int64_t* items = wanted.data();
    nb::gil_scoped_release released;
    over_blocks(queries.shape(0), BLOCK, n_threads, [&](std::size_t start, std::size_t stop) {
        const std::size_t width = padded_width(n_factors);
        double* query = room(scratch.query, width);
        double* terms = room(scratch.terms, width / 2 + 1);
        std::uint32_t* which = room(scratch.which, m);
        float* found = room(scratch.scores, m);
        for (std::size_t row = start; row < stop; ++row) {
            const float* given = queries.data() + row * n_factors;
            std::copy(given, given + n_factors, query);
            std::size_t n = 0;
            for (std::size_t i = 0; i < m; ++i) {
                const auto item = static_cast<std::uint64_t>(items[row * m + i]);
                if (item < n_items) which[n++] = static_cast<std::uint32_t>(item);
            }
            exact(query, rows, width, 0, which, n, terms, found);
            float* scores = score.data() + row * m;
            n = 0;
            for (std::size_t i = 0; i < m; ++i) {
                scores[i] = static_cast<std::uint64_t>(items[row * m + i]) < n_items ? found[n++] : 0.0f;
            }
        }
        release_much();
    });
}

// The address in a capsule that is SciPy's sgemm as it is known here, or 0: its name spells out the types.
std::uintptr_t sgemm_of(const nb::capsule& capsule) {
    const char* name = capsule.name();
    if (name == nullptr) return 0;
    const std::string text = name;
    for (const std::string number : {"__pyx_t_5scipy_6linalg_11cython_blas_s *", "float *"}) {
        const std::string expected = "void (char *, char *, int *, int *, int *, " + number + ", " + number +
                                     ", int *, " + number + ", int *, " + number + ", " + number + ", int *)";
        if (text == expected) return reinterpret_cast<std::uintptr_t>(capsule.data());
    }
    return 0;
}

}  // namespace dense

void bind_dense(nb::module_& module) {
    using namespace nb::literals;
    module.def("dense_topk", &dense::topk, "queries"_a, "by_norm"_a, "norms"_a, "permutation"_a, "place"_a,
               "indptr"_a.none(), "excluded"_a.none(), "available"_a.none(), "item_index"_a.noconvert(),
               "score"_a.noconvert(), "multiply"_a, "n_threads"_a);
    module.def("dense_pairs", &dense::pairs, "queries"_a, "factors"_a, "wanted"_a, "score"_a.noconvert(),
               "n_threads"_a);
    module.def("sgemm_of", &dense::sgemm_of, "capsule"_a);
}
