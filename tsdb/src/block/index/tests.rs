use std::collections::BTreeSet;

use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher, all_match};
use model::storage::StorageError;
use proptest::prelude::*;

use super::*;
use crate::fs::{ByteView, Fs, RealFs};
use crate::select::{LabelIndex, label_names, label_values, postings_for_matchers};

fn chunk(mint: i64, maxt: i64, at: u64) -> ChunkMeta {
    ChunkMeta { mint, maxt, at: ChunkRef(at) }
}

/// Writes an index and returns its bytes.
fn written(series: &[(Labels, Vec<ChunkMeta>)]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = IndexWriter::create(&RealFs, dir.path()).unwrap();
    for (labels, chunks) in series {
        writer.add_series(labels, chunks).unwrap();
    }
    writer.finish(&RealFs).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the spool is gone");
    RealFs.view(&dir.path().join(FILE_NAME)).unwrap().to_vec()
}

fn opened(bytes: Vec<u8>) -> Result<IndexReader, StorageError> {
    IndexReader::from_view(ByteView::from_vec(bytes), "index".into())
}

/// Sorted label sets, some with so many values that places between the remembered ones are looked up.
fn label_sets() -> impl Strategy<Value = Vec<Labels>> {
    let pairs = proptest::collection::btree_map("[a-c]", "[x-z]{1,3}", 0..4);
    let few = proptest::collection::btree_set(pairs.prop_map(Labels::from_pairs), 0..40);
    let many = (1u32..300).prop_map(|count| {
        let labels = |i: u32| Labels::from_pairs([("a", format!("{}", i % 100)), ("b", format!("x{i}"))]);
        (0..count).map(labels).collect::<BTreeSet<_>>()
    });
    prop_oneof![few, many].prop_map(|set| set.into_iter().collect())
}

proptest! {
    #[test]
    fn an_index_reads_back_as_it_was_written(
        sets in label_sets(),
        gaps in proptest::collection::vec((-50i64..50, 0i64..100, 1u64..1 << 40), 0..5),
    ) {
        let mut chunks: Vec<ChunkMeta> = Vec::new();
        for (gap, len, at) in gaps {
            let before = chunks.last().copied().unwrap_or(chunk(0, 0, 0));
            let mint = before.maxt + if chunks.is_empty() { gap } else { gap.abs() };
            chunks.push(chunk(mint, mint + len, before.at.0 + at));
        }
        let series: Vec<_> = sets.iter().map(|labels| (labels.clone(), chunks.clone())).collect();
        let index = opened(written(&series)).unwrap();
        let cancel = Cancel::new();
        let ids = postings_for_matchers(&index, &[], &cancel).unwrap();
        prop_assert_eq!(ids.len(), sets.len());
        let mut read = Vec::new();
        for (id, labels) in ids.iter().zip(&sets) {
            prop_assert_eq!(&index.labels(*id).unwrap(), labels);
            index.chunks(*id, &mut read).unwrap();
            prop_assert_eq!(&read, &chunks);
        }
        for (op, name, value) in [
            (MatchOp::Equal, "a", "x"), (MatchOp::Equal, "b", "x77"), (MatchOp::NotEqual, "a", "7"),
            (MatchOp::Regex, "b", "x1.+"), (MatchOp::Regex, "a", "x|y|7|42|none"), (MatchOp::Regex, "c", ".+"),
            (MatchOp::NotRegex, "a", "[xy].*"), (MatchOp::Equal, "nope", ""), (MatchOp::Regex, "b", "zzzz.+"),
        ] {
            let matchers = [Matcher::new(op, name, value).unwrap()];
            let selected = postings_for_matchers(&index, &matchers, &cancel).unwrap();
            let naive = ids.iter().zip(&sets).filter(|(_, labels)| all_match(&matchers, labels));
            prop_assert_eq!(selected, naive.map(|(id, _)| *id).collect::<Vec<_>>());
        }
        let names: BTreeSet<&str> = sets.iter().flatten().map(|(name, _)| name).collect();
        prop_assert_eq!(label_names(&index, &[], 0, &cancel).unwrap(), names.iter().copied().collect::<Vec<_>>());
        for name in names {
            let values: BTreeSet<&str> = sets.iter().filter_map(|labels| labels.get(name)).collect();
            prop_assert_eq!(index.value_count(name), values.len());
            prop_assert_eq!(label_values(&index, name, &[], 0, &cancel).unwrap(), values.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        at in 0usize..2000, byte in any::<u8>(), cut in 0usize..2000, reseal in any::<bool>(),
    ) {
        let labels = |i: u32| Labels::from_pairs([("a", format!("v{i:03}")), ("b", "x".to_owned())]);
        let series: Vec<_> = (0..50).map(|i| (labels(i), vec![chunk(1, 2, 8), chunk(2, 9, 90)])).collect();
        let mut bytes = written(&series);
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(len - if cut < 100 { cut } else { 0 });
        if reseal {
            // Damage that the checksums of the two sections that are read at once don't show.
            reseal_sections(&mut bytes);
        }
        let cancel = Cancel::new();
        if let Ok(index) = opened(bytes) {
            let ids = postings_for_matchers(&index, &[], &cancel).unwrap_or_default();
            for id in ids.into_iter().chain([0, u32::MAX]) {
                let _ = index.labels(id);
                let _ = index.chunks(id, &mut Vec::new());
            }
            let _ = postings_for_matchers(&index, &[Matcher::new(MatchOp::Regex, "a", "v0.+").unwrap()], &cancel);
            let _ = label_values(&index, "a", &[Matcher::equal("b", "x")], 0, &cancel);
        }
    }
}

/// Makes the checksums of the symbols and the postings offsets right again, if their lengths are in bounds.
fn reseal_sections(bytes: &mut [u8]) {
    let Some(toc_at) = bytes.len().checked_sub(TOC_BYTES) else { return };
    let field = |n: usize| u64::from_be_bytes(bytes[toc_at + 8 * n..][..8].try_into().unwrap()) as usize;
    for at in [field(0), field(5)] {
        let Some(len) =
            bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u32::from_be_bytes(*b) as usize)
        else {
            continue;
        };
        let Some(content) = bytes.get(at + 4..at + 4 + len) else { continue };
        let crc = crc32c::crc32c(content).to_be_bytes();
        if let Some(slot) = bytes.get_mut(at + 4 + len..at + 8 + len) {
            slot.copy_from_slice(&crc);
        }
    }
}

#[test]
fn every_flipped_bit_is_found_when_it_is_touched() {
    let series: Vec<_> = ["x", "y", "z"]
        .iter()
        .map(|value| (Labels::from_pairs([("a", *value), ("b", "1")]), vec![chunk(1, 2, 8)]))
        .collect();
    let good = written(&series);
    let answers = |bytes: Vec<u8>| -> Result<_, StorageError> {
        let index = opened(bytes)?;
        let cancel = Cancel::new();
        let mut found = Vec::new();
        for value in ["x", "y", "z"] {
            for id in postings_for_matchers(&index, &[Matcher::equal("a", value)], &cancel)? {
                let mut chunks = Vec::new();
                index.chunks(id, &mut chunks)?;
                found.push((index.labels(id)?, chunks));
            }
        }
        Ok((
            found,
            postings_for_matchers(&index, &[], &cancel)?,
            postings_for_matchers(&index, &[Matcher::equal("b", "1")], &cancel)?,
        ))
    };
    let right = answers(good.clone()).unwrap();
    assert_eq!(right.0, series);
    for at in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        match answers(bad) {
            Err(StorageError::Corrupt { .. }) => {}
            Err(other) => panic!("flip of bit {at}: {other}"),
            // Padding between series isn't read.
            Ok(got) => assert_eq!(got, right, "flip of bit {at}"),
        }
    }
}

#[test]
fn series_out_of_order_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = IndexWriter::create(&RealFs, dir.path()).unwrap();
    writer.add_series(&Labels::from_pairs([("a", "2")]), &[]).unwrap();
    let error = writer.add_series(&Labels::from_pairs([("a", "1")]), &[]).unwrap_err();
    assert!(error.to_string().contains("out-of-order series added with label set {a=\"1\"}"), "{error}");
}
