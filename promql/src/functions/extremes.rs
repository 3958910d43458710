//! Minimum and maximum of windows that slide over a series.
//!
//! The samples of the windows are a queue made of two parts. For each sample of the front it is known what is
//! extreme from there to the front's end; of the back only what is extreme of all of it. When a window begins
//! behind the front, its samples are the new front. So each sample is looked at twice, whatever the windows'
//! length, and without branches that depend on values.

use std::ops::Range;

/// Windows over items, of which the better one of any two can be told.
pub(super) struct Sliding<T, I, B> {
    /// The item at an index.
    item: I,
    /// The better one of an earlier and a later item. Associative.
    better: B,
    /// The best of the samples from each on to the front's end.
    front: Vec<T>,
    /// Where the front begins.
    begin: usize,
    /// The best of the back, which reaches from the front to `end`.
    back: Option<T>,
    end: usize,
}

impl<T: Copy, I: Fn(usize) -> T, B: Fn(T, T) -> T> Sliding<T, I, B> {
    pub(super) fn new(item: I, better: B) -> Self {
        Sliding { item, better, front: Vec::new(), begin: 0, back: None, end: 0 }
    }

    /// The best of a window that isn't empty.
    pub(super) fn best(&mut self, window: Range<usize>) -> T {
        let front = self.begin..self.begin + self.front.len();
        if !front.contains(&window.start) || window.end < self.end {
            return self.restart(window);
        }
        for index in self.end..window.end {
            let item = (self.item)(index);
            self.back = Some(self.back.map_or(item, |best| (self.better)(best, item)));
        }
        self.end = window.end;
        let best = self.front[window.start - self.begin];
        self.back.map_or(best, |back| (self.better)(best, back))
    }

    /// Makes the window the front.
    fn restart(&mut self, window: Range<usize>) -> T {
        let mut best = (self.item)(window.end - 1);
        self.front.clear();
        self.front.resize(window.len(), best);
        for (slot, index) in self.front.iter_mut().zip(window.clone()).rev().skip(1) {
            best = (self.better)((self.item)(index), best);
            *slot = best;
        }
        (self.begin, self.end, self.back) = (window.start, window.end, None);
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_of_a_window_is_that_of_its_samples(
            values in proptest::collection::vec(0..9_u32, 1..60),
            moves in proptest::collection::vec((0..7_usize, 0..7_usize), 1..40),
        ) {
            let mut sliding = Sliding::new(|i| (values[i], i), |a, b| if b.0 > a.0 { b } else { a });
            let (mut low, mut high) = (0, 0);
            for (left, right) in moves {
                low += left;
                high = low.max(high + right) + 1;
                if high > values.len() {
                    break;
                }
                let naive = (low..high).map(|i| (values[i], i)).reduce(|a, b| if b.0 > a.0 { b } else { a });
                prop_assert_eq!(Some(sliding.best(low..high)), naive);
            }
        }
    }
}
