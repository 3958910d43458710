//! Which blocks to compact next. The rules and their order are those of `LeveledCompactor.Plan` in Prometheus
//! 3.14 (tsdb/compact.go), so that a directory that both have served in turn ends up the same:
//!
//! 1. blocks that overlap in time, which only vertical compaction of compactions by hand, of backfilling and of
//!    out-of-order samples leaves;
//! 2. without the newest block, so that users may copy it in peace: the blocks within an aligned range of the
//!    next size, if they fill it or a newer block shows that nothing more will come;
//! 3. a large block of which more than 5 % is deleted, or any block whose series are all deleted.
//!
//! Blocks of parts of a head (stale or selected series) overlap the rest of it by nature, and are only compacted
//! with their like.

use ulid::Ulid;

use crate::block::meta::BlockMeta;

/// How many ranges there are at most, the smallest included; as in Prometheus.
const RANGES_MAX: u32 = 10;
/// How many times larger each range is than the one before; as in Prometheus.
const RANGE_FACTOR: i64 = 3;
/// From which share of deleted intervals per series a large block is rewritten.
const TOMBSTONE_RATIO_MAX: f64 = 0.05;

/// Hints of blocks that hold only a part of the series of their time.
pub(super) const PARTIAL_HINTS: [&str; 2] = ["from-stale-series", "from-selected-series"];

/// The time ranges of blocks in ms, ascending: `min_ms` and its multiples by three up to `max_ms`. Equal
/// limits switch levelled compaction off.
pub fn ranges(min_ms: i64, max_ms: i64) -> Vec<i64> {
    let all = (0..RANGES_MAX).map_while(|n| min_ms.checked_mul(RANGE_FACTOR.checked_pow(n)?));
    let mut ranges: Vec<i64> = all.take_while(|range| *range <= max_ms).collect();
    if ranges.is_empty() {
        ranges.push(min_ms);
    }
    ranges
}

/// What compaction may do.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// See [`ranges`].
    pub ranges: Vec<i64>,
    /// Whether blocks that overlap are compacted into one. A Thanos receiver says no.
    pub overlapping: bool,
}

/// The blocks to compact into one; none if there is nothing to do.
pub fn plan(metas: &[BlockMeta], options: &PlanOptions) -> Vec<Ulid> {
    let class = |meta: &BlockMeta| PARTIAL_HINTS.iter().position(|hint| meta.has_hint(hint));
    for wanted in [None, Some(0), Some(1)] {
        let mut blocks: Vec<&BlockMeta> = metas.iter().filter(|meta| class(meta) == wanted).collect();
        blocks.sort_by_key(|meta| meta.min_time);
        let chosen = plan_class(&blocks, options);
        if !chosen.is_empty() {
            return chosen.into_iter().map(|meta| meta.ulid).collect();
        }
    }
    Vec::new()
}

/// `blocks` ascend by their first time.
fn plan_class<'m>(blocks: &[&'m BlockMeta], options: &PlanOptions) -> Vec<&'m BlockMeta> {
    if options.overlapping {
        let overlapping = first_overlap(blocks);
        if !overlapping.is_empty() {
            return overlapping;
        }
    }
    let Some((_newest, older)) = blocks.split_last() else { return Vec::new() };
    let leveled = first_full_range(older, &options.ranges);
    if !leveled.is_empty() {
        return leveled;
    }
    mostly_deleted(older, &options.ranges).into_iter().collect()
}

/// The oldest run of blocks that overlap, unless their compaction failed before.
fn first_overlap<'m>(blocks: &[&'m BlockMeta]) -> Vec<&'m BlockMeta> {
    let mut run: Vec<&BlockMeta> = Vec::new();
    let mut run_end = i64::MIN;
    for block in blocks {
        if !run.is_empty() && block.min_time >= run_end {
            if run.len() > 1 && !any_failed(&run) {
                return run;
            }
            run.clear();
        }
        run.push(block);
        run_end = if run.len() == 1 { block.max_time } else { run_end.max(block.max_time) };
    }
    if run.len() > 1 && !any_failed(&run) { run } else { Vec::new() }
}

fn any_failed(blocks: &[&BlockMeta]) -> bool {
    blocks.iter().any(|block| block.compaction.failed)
}

/// The blocks of the smallest and oldest aligned range that is complete.
fn first_full_range<'m>(blocks: &[&'m BlockMeta], ranges: &[i64]) -> Vec<&'m BlockMeta> {
    let Some(newest_start) = blocks.last().map(|block| block.min_time) else { return Vec::new() };
    for range in ranges.iter().skip(1) {
        for group in groups_within(blocks, *range) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let fills_range = last.max_time - first.min_time == *range;
            let is_past = last.max_time <= newest_start;
            if group.len() > 1 && (fills_range || is_past) && !any_failed(group) {
                return group.to_vec();
            }
        }
    }
    Vec::new()
}

/// Splits blocks into those that are within the same aligned range. Blocks that are in no single range, being
/// larger or not aligned, are in no group.
fn groups_within<'b, 'm>(blocks: &'b [&'m BlockMeta], range: i64) -> Vec<&'b [&'m BlockMeta]> {
    let mut groups = Vec::new();
    let mut rest = blocks;
    while let Some(first) = rest.first() {
        let range_end = first.min_time.div_euclid(range).saturating_mul(range).saturating_add(range);
        let within = rest.iter().take_while(|block| block.max_time <= range_end).count();
        if within > 0 {
            groups.push(&rest[..within]);
        }
        rest = &rest[within.max(1)..];
    }
    groups
}

/// The newest block that is worth rewriting for what is deleted in it.
fn mostly_deleted<'m>(blocks: &[&'m BlockMeta], ranges: &[i64]) -> Option<&'m BlockMeta> {
    let large = ranges[ranges.len() / 2];
    for block in blocks.iter().rev() {
        let stats = &block.stats;
        if block.max_time - block.min_time < large {
            let all_deleted = stats.num_tombstones > 0 && stats.num_tombstones >= stats.num_series;
            return all_deleted.then_some(*block);
        }
        if stats.num_tombstones as f64 / (stats.num_series + 1) as f64 > TOMBSTONE_RATIO_MAX {
            return Some(block);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(nth: u64, min_time: i64, max_time: i64) -> BlockMeta {
        let mut meta = BlockMeta::new(Ulid::from_parts(nth, 0), min_time, max_time);
        meta.stats.num_series = 10;
        meta
    }

    fn blocks(times: &[(i64, i64)]) -> Vec<BlockMeta> {
        times.iter().zip(1..).map(|((mint, maxt), nth)| block(nth, *mint, *maxt)).collect()
    }

    /// Which blocks are chosen, from 1.
    fn chosen(metas: &[BlockMeta]) -> Vec<u64> {
        let options = PlanOptions { ranges: vec![20, 60, 180, 540], overlapping: true };
        plan(metas, &options).into_iter().map(|ulid| ulid.timestamp_ms()).collect()
    }

    /// What it shows, times of blocks, which are chosen.
    type Case = (&'static str, &'static [(i64, i64)], &'static [u64]);

    #[test]
    fn ranges_triple_up_to_the_largest_block() {
        let hour = 3_600_000;
        assert_eq!(ranges(2 * hour, 36 * hour), [2 * hour, 6 * hour, 18 * hour]);
        assert_eq!(ranges(2 * hour, 2 * hour), [2 * hour]);
        assert_eq!(ranges(2 * hour, hour), [2 * hour]);
        assert_eq!(ranges(2 * hour, i64::MAX).len(), 10);
    }

    #[test]
    fn levels_are_filled_as_in_the_reference() {
        let cases: &[Case] = &[
            ("nothing", &[], &[]),
            ("one block", &[(0, 20)], &[]),
            ("the newest doesn't count", &[(0, 20), (20, 40), (40, 60)], &[]),
            ("a full range", &[(0, 20), (20, 40), (40, 60), (60, 80)], &[1, 2, 3]),
            ("a range with a gap that a newer block ends", &[(0, 20), (40, 60), (60, 80)], &[1, 2]),
            ("a range that may still grow", &[(0, 20), (20, 40), (60, 80)], &[]),
            ("a range that is past", &[(0, 20), (20, 40), (60, 80), (80, 100)], &[1, 2]),
            ("larger ranges", &[(0, 60), (60, 120), (120, 180), (180, 200)], &[1, 2, 3]),
            (
                "smaller ranges first",
                &[(0, 60), (60, 120), (120, 180), (180, 200), (200, 220), (220, 240), (240, 260)],
                &[4, 5, 6],
            ),
            (
                "blocks larger than the range are passed over",
                &[(0, 540), (540, 560), (560, 580), (580, 600), (600, 620)],
                &[2, 3, 4],
            ),
            (
                "blocks that cross a range",
                &[(0, 20), (50, 70), (80, 100), (100, 120), (120, 140), (140, 160)],
                &[3, 4],
            ),
            ("times before 1970", &[(-60, -40), (-40, -20), (-20, 0), (0, 20)], &[1, 2, 3]),
        ];
        for (name, times, expected) in cases {
            assert_eq!(chosen(&blocks(times)), *expected, "{name}");
        }
    }

    #[test]
    fn overlapping_blocks_come_first_and_the_newest_counts() {
        let cases: &[Case] = &[
            ("two", &[(0, 20), (19, 40)], &[1, 2]),
            ("touching isn't overlapping", &[(0, 20), (20, 40)], &[]),
            ("before full ranges", &[(0, 20), (20, 40), (40, 60), (60, 80), (70, 90)], &[4, 5]),
            ("a chain", &[(0, 30), (10, 20), (25, 50), (50, 60)], &[1, 2, 3]),
            ("the oldest run", &[(0, 20), (10, 30), (40, 60), (50, 70)], &[1, 2]),
        ];
        for (name, times, expected) in cases {
            assert_eq!(chosen(&blocks(times)), *expected, "{name}");
        }
        let options = PlanOptions { ranges: vec![20, 60], overlapping: false };
        assert!(plan(&blocks(&[(0, 20), (19, 40)]), &options).is_empty());
    }

    #[test]
    fn blocks_whose_compaction_failed_are_left_alone() {
        let mut metas = blocks(&[(0, 20), (20, 40), (40, 60), (60, 80), (80, 100), (120, 140)]);
        metas[1].compaction.failed = true;
        assert_eq!(chosen(&metas), Vec::<u64>::new());
        metas.extend([block(7, 140, 160), block(8, 150, 170)]);
        assert_eq!(chosen(&metas), [7, 8]);
        metas[7].compaction.failed = true;
        assert_eq!(chosen(&metas), [4, 5]);
    }

    #[test]
    fn deletions_make_blocks_worth_rewriting() {
        let with_tombstones = |times: &[(i64, i64)], tombstones: &[u64]| {
            let mut metas = blocks(times);
            for (meta, count) in metas.iter_mut().zip(tombstones) {
                meta.stats.num_tombstones = *count;
            }
            chosen(&metas)
        };
        let none: [u64; 0] = [];
        assert_eq!(with_tombstones(&[(0, 540), (540, 560)], &[1, 0]), [1]);
        assert_eq!(with_tombstones(&[(0, 540), (540, 560)], &[0, 10]), none, "the newest waits");
        assert_eq!(
            with_tombstones(&[(0, 540), (540, 560), (560, 580)], &[1, 0, 0]),
            none,
            "behind a small block"
        );
        assert_eq!(with_tombstones(&[(0, 540), (540, 560), (560, 580)], &[0, 9, 0]), none);
        assert_eq!(with_tombstones(&[(0, 540), (540, 560), (560, 580)], &[0, 10, 0]), [2]);
    }

    #[test]
    fn parts_of_a_head_are_compacted_with_their_like_only() {
        let mut metas = blocks(&[(0, 20), (0, 20), (0, 20), (5, 20)]);
        metas[1].compaction.hints = vec![PARTIAL_HINTS[0].to_owned()];
        assert_eq!(chosen(&metas), [1, 3, 4]);
        metas.truncate(2);
        assert_eq!(chosen(&metas), Vec::<u64>::new());
        metas.push(block(5, 10, 20));
        metas[2].compaction.hints = vec![PARTIAL_HINTS[0].to_owned()];
        assert_eq!(chosen(&metas), [2, 5]);
    }
}
