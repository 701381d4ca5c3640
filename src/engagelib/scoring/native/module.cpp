// The native kernel: each area of it binds its own functions.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_sparse(nb::module_& module);
void bind_dense(nb::module_& module);
void bind_als(nb::module_& module);
void bind_folding(nb::module_& module);
void bind_drawing(nb::module_& module);
void bind_blending(nb::module_& module);
void bind_describing(nb::module_& module);
void bind_trees(nb::module_& module);
void bind_neighbours(nb::module_& module);

NB_MODULE(_kernel, module) {
    module.doc() = "Scoring, drawing, blending, describing and alternating least squares over arrays that were checked before.";
    bind_sparse(module);
    bind_dense(module);
    bind_als(module);
    bind_folding(module);
    bind_drawing(module);
    bind_blending(module);
    bind_describing(module);
    bind_trees(module);
    bind_neighbours(module);
}
