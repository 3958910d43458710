//! Summation with Neumaier's compensation, step for step as the reference does it, so that sums agree to the
//! last bit.

/// Adds `value` to `sum` and what was lost in rounding to `lost`; the true sum is about `sum + lost`. A sum
/// that is infinite has lost nothing.
#[inline(always)]
pub(crate) fn add(value: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + value;
    let rounding = if sum.abs() >= value.abs() { (sum - total) + value } else { (value - total) + sum };
    (total, if total.is_infinite() { 0.0 } else { lost + rounding })
}

/// A running sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl Sum {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        (self.sum, self.lost) = add(value, self.sum, self.lost);
    }

    /// Sum and loss together.
    #[inline]
    pub(crate) fn total(self) -> f64 {
        self.sum + self.lost
    }
}

/// A running mean: of a compensated sum as long as that is finite, from then on updated with each value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one value.
    #[inline]
    pub(crate) fn of(first: f64) -> Self {
        Mean { sum: Sum { sum: first, lost: 0.0 }, count: 1.0, incremental: false }
    }

    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (sum, lost) = add(value, self.sum.sum, self.sum.lost);
            if !sum.is_infinite() {
                self.sum = Sum { sum, lost };
                return;
            }
            self.incremental = true;
            self.sum.sum /= self.count - 1.0;
            self.sum.lost /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        let (sum, lost) = add(value / self.count, share * self.sum.sum, share * self.sum.lost);
        self.sum = Sum { sum, lost };
    }

    #[inline]
    pub(crate) fn value(&self) -> f64 {
        if self.incremental {
            self.sum.total()
        } else {
            self.sum.sum / self.count + self.sum.lost / self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_not_lost_beside_large_ones() {
        let mut sum = Sum::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 2.0);
    }

    #[test]
    fn the_mean_of_huge_values_does_not_overflow() {
        let mut mean = Mean::of(1.5e308);
        mean.add(1.5e308);
        mean.add(1.5e308);
        assert_eq!(mean.value(), 1.5e308);
    }
}
