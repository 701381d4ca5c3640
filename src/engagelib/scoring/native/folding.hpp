// Solving for one row from nothing, until nothing is left to gain.
#pragma once

#include "conjugate.hpp"

// Solve (I + V' D V) z = b in float64, with V'(1 + D) 1 for b, or `right` where given. Vectors have `length`
// numbers, and so have `right` and `out`.
void solve_row(const Entries<double>& row, int length, const double* right, int most_steps, double* out,
               Room<double>& room);
