//! Means with Neumaier's compensation, step for step as the reference does it, so that they agree to the last
//! bit. The sums below them are [`model::kahan`]'s, as are those of histograms.

use model::kahan::Compensated;

/// A running mean: of a compensated sum as long as that is finite, from then on updated with each value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    sum: Compensated,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one value.
    #[inline]
    pub(crate) fn of(first: f64) -> Self {
        Mean { sum: Compensated::from(first), count: 1.0, incremental: false }
    }

    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut sum = self.sum;
            sum.add(value);
            if !sum.value.is_infinite() {
                self.sum = sum;
                return;
            }
            self.incremental = true;
            self.sum.value /= self.count - 1.0;
            self.sum.lost /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        self.sum = Compensated { value: share * self.sum.value, lost: share * self.sum.lost };
        self.sum.add(value / self.count);
    }

    #[inline]
    pub(crate) fn value(&self) -> f64 {
        if self.incremental {
            self.sum.total()
        } else {
            self.sum.value / self.count + self.sum.lost / self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_huge_values_does_not_overflow() {
        let mut mean = Mean::of(1.5e308);
        mean.add(1.5e308);
        mean.add(1.5e308);
        assert_eq!(mean.value(), 1.5e308);
    }
}
