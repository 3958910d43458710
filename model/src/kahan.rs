//! Summation with Neumaier's compensation (after Kahan), step for step as Prometheus does it, so that sums agree
//! to the last bit.

use std::ops::AddAssign;

/// A float and what rounding took from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Compensated {
    /// The sum so far.
    pub value: f64,
    /// What is to be added to it in the end.
    pub lost: f64,
}

/// Adds `float` to a sum and what rounding takes from it to `lost`; the true sum is about both together. Once the
/// sum is infinite nothing is lost any more.
///
/// On its own for loops over columns: it has no branch that keeps them from being vectorised.
#[inline(always)]
pub fn add(float: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + float;
    let rounding = if sum.abs() >= float.abs() { (sum - total) + float } else { (float - total) + sum };
    (total, if total.is_infinite() { 0.0 } else { lost + rounding })
}

impl Compensated {
    /// Adds a float.
    #[inline]
    pub fn add(&mut self, float: f64) {
        (self.value, self.lost) = add(float, self.value, self.lost);
    }

    /// The sum with what was lost.
    #[inline]
    pub fn total(self) -> f64 {
        self.value + self.lost
    }
}

impl From<f64> for Compensated {
    fn from(value: f64) -> Self {
        Compensated { value, lost: 0.0 }
    }
}

impl From<Compensated> for f64 {
    fn from(sum: Compensated) -> f64 {
        sum.total()
    }
}

impl AddAssign for Compensated {
    fn add_assign(&mut self, other: Self) {
        self.add(other.value);
        if other.lost != 0.0 {
            self.add(other.lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_not_lost_beside_large_ones() {
        let mut sum = Compensated::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 2.0);
    }
}
