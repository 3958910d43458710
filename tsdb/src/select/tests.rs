use std::collections::BTreeMap;

use model::labels::Labels;
use model::matcher::all_match;
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::*;

/// Lists in the three representations by turns.
enum List {
    Ids(Vec<u32>),
    BigEndian(Vec<[u8; 4]>),
    Roaring(RoaringBitmap),
}

impl List {
    fn new(ids: &[u32], kind: usize) -> Self {
        match kind % 3 {
            0 => List::Ids(ids.to_vec()),
            1 => List::BigEndian(ids.iter().map(|id| id.to_be_bytes()).collect()),
            _ => List::Roaring(ids.iter().copied().collect()),
        }
    }

    fn postings(&self) -> Postings<'_> {
        match self {
            List::Ids(ids) => Postings::Ids(ids),
            List::BigEndian(ids) => Postings::BigEndian(ids),
            List::Roaring(bitmap) => Postings::Roaring(bitmap),
        }
    }
}

/// The simplest index; ids are multiples of a stride, as they are in blocks.
struct TestIndex {
    all: List,
    series: BTreeMap<u32, Labels>,
    pairs: BTreeMap<String, BTreeMap<String, List>>,
}

impl TestIndex {
    fn new(series: &[Labels]) -> Self {
        let series: BTreeMap<u32, Labels> = (0..).step_by(3).zip(series.iter().cloned()).collect();
        let mut lists: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
        for (id, labels) in &series {
            for pair in labels {
                lists.entry(pair).or_default().push(*id);
            }
        }
        let mut pairs: BTreeMap<String, BTreeMap<String, List>> = BTreeMap::new();
        for (kind, ((name, value), ids)) in lists.into_iter().enumerate() {
            pairs.entry(name.to_owned()).or_default().insert(value.to_owned(), List::new(&ids, kind));
        }
        let all = List::new(&series.keys().copied().collect::<Vec<_>>(), series.len());
        TestIndex { all, series, pairs }
    }
}

impl LabelIndex for TestIndex {
    fn all(&self) -> Result<Postings<'_>, StorageError> {
        Ok(self.all.postings())
    }

    fn postings(&self, name: &str, value: &str) -> Result<Postings<'_>, StorageError> {
        let list = self.pairs.get(name).and_then(|values| values.get(value));
        Ok(list.map_or(Postings::EMPTY, List::postings))
    }

    fn value_count(&self, name: &str) -> usize {
        self.pairs.get(name).map_or(0, BTreeMap::len)
    }

    fn visit_values<'a>(
        &'a self,
        name: &str,
        prefix: &str,
        visit: &mut ValueVisitor<'_, 'a>,
    ) -> Result<(), StorageError> {
        let Some((at, (_, values))) = self.pairs.iter().enumerate().find(|(_, (n, _))| *n == name) else {
            return Ok(());
        };
        for (nth, value) in values.keys().enumerate().collect::<Vec<_>>().into_iter().rev() {
            if value.starts_with(prefix) && !visit(value, PostingsRef((at as u64) << 32 | nth as u64)) {
                break;
            }
        }
        Ok(())
    }

    fn postings_at(&self, list: PostingsRef) -> Result<Postings<'_>, StorageError> {
        let values = self.pairs.values().nth((list.0 >> 32) as usize).unwrap();
        Ok(values.values().nth(list.0 as u32 as usize).unwrap().postings())
    }

    fn visit_names<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) -> Result<(), StorageError> {
        self.pairs.keys().for_each(|name| visit(name));
        Ok(())
    }

    fn visit_labels<'a>(
        &'a self,
        id: SeriesId,
        visit: &mut dyn FnMut(&'a str, &'a str),
    ) -> Result<(), StorageError> {
        self.series[&id].iter().for_each(|(name, value)| visit(name, value));
        Ok(())
    }
}

/// Few series with all combinations, or so many of one value that no clause is left to the labels.
fn series_lists() -> impl Strategy<Value = Vec<Labels>> {
    let pairs = proptest::collection::btree_map("[abc]", "[xy]{1,2}", 0..4);
    let random = proptest::collection::btree_set(pairs.prop_map(Labels::from_pairs), 0..40);
    let many = (100u32..400).prop_map(|count| {
        let labels = |i: u32| {
            Labels::from_pairs([("a", "x"), ("b", ["x", "y"][i as usize % 2]), ("c", &i.to_string())])
        };
        (0..count).map(labels).collect()
    });
    prop_oneof![4 => random.prop_map(|set| set.into_iter().collect()), 1 => many]
}

fn matchers() -> impl Strategy<Value = Matcher> {
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    let value = prop_oneof![
        Just(""),
        Just("x"),
        Just("y"),
        Just("xy"),
        Just("x|y"),
        Just("x||none"),
        Just("none"),
        Just("x.*"),
        Just("x.+|"),
        Just(".*y"),
        Just(".*"),
        Just(".+"),
        Just("x?"),
        Just("[xy]{2}"),
        Just("1.*"),
        Just(".*7.*"),
    ];
    (op, "[abcd]", value).prop_map(|(op, name, value)| Matcher::new(op, name, value).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_combination_of_matchers_selects_what_a_naive_scan_does(
        series in series_lists(),
        matchers in proptest::collection::vec(matchers(), 0..5),
        limit in 0usize..4,
    ) {
        let index = TestIndex::new(&series);
        let cancel = Cancel::new();
        let naive: BTreeMap<u32, Labels> = index.series.clone().into_iter()
            .filter(|(_, labels)| all_match(&matchers, labels))
            .collect();
        let selected = postings_for_matchers(&index, &matchers, &cancel).unwrap();
        prop_assert_eq!(selected, naive.keys().copied().collect::<Vec<_>>());

        let take = if limit == 0 { usize::MAX } else { limit };
        let names: BTreeSet<&str> = naive.values().flatten().map(|(name, _)| name).collect();
        prop_assert_eq!(
            label_names(&index, &matchers, limit, &cancel).unwrap(),
            names.into_iter().take(take).collect::<Vec<_>>()
        );
        for name in ["a", "c", "d"] {
            let values: BTreeSet<&str> = naive.values().filter_map(|labels| labels.get(name)).collect();
            prop_assert_eq!(
                label_values(&index, name, &matchers, limit, &cancel).unwrap(),
                values.into_iter().take(take).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn a_cancelled_selection_ends_with_its_error() {
    let index = TestIndex::new(&[Labels::from_pairs([("a", "x")])]);
    let cancel = Cancel::new();
    cancel.cancel();
    for matcher in [Matcher::equal("a", "x"), Matcher::new(MatchOp::Regex, "a", "x.+").unwrap()] {
        let error = postings_for_matchers(&index, &[matcher], &cancel).unwrap_err();
        assert!(matches!(error, StorageError::Cancelled));
    }
}
