//! Words with a meaning of their own.

use super::token::{Keyword, TimeWord, TokenKind};
use crate::ast::{AggregateOp, BinaryOp};

/// Words that aren't plain identifiers, in lower case.
pub(super) const WORDS: [(&str, TokenKind); 39] = [
    ("and", TokenKind::Op(BinaryOp::And)),
    ("or", TokenKind::Op(BinaryOp::Or)),
    ("unless", TokenKind::Op(BinaryOp::Unless)),
    ("atan2", TokenKind::Op(BinaryOp::Atan2)),
    ("sum", TokenKind::Aggregate(AggregateOp::Sum)),
    ("avg", TokenKind::Aggregate(AggregateOp::Avg)),
    ("count", TokenKind::Aggregate(AggregateOp::Count)),
    ("min", TokenKind::Aggregate(AggregateOp::Min)),
    ("max", TokenKind::Aggregate(AggregateOp::Max)),
    ("group", TokenKind::Aggregate(AggregateOp::Group)),
    ("stddev", TokenKind::Aggregate(AggregateOp::Stddev)),
    ("stdvar", TokenKind::Aggregate(AggregateOp::Stdvar)),
    ("topk", TokenKind::Aggregate(AggregateOp::Topk)),
    ("bottomk", TokenKind::Aggregate(AggregateOp::Bottomk)),
    ("count_values", TokenKind::Aggregate(AggregateOp::CountValues)),
    ("quantile", TokenKind::Aggregate(AggregateOp::Quantile)),
    ("limitk", TokenKind::Aggregate(AggregateOp::Limitk)),
    ("limit_ratio", TokenKind::Aggregate(AggregateOp::LimitRatio)),
    ("offset", TokenKind::Keyword(Keyword::Offset)),
    ("smoothed", TokenKind::Keyword(Keyword::Smoothed)),
    ("anchored", TokenKind::Keyword(Keyword::Anchored)),
    ("by", TokenKind::Keyword(Keyword::By)),
    ("without", TokenKind::Keyword(Keyword::Without)),
    ("on", TokenKind::Keyword(Keyword::On)),
    ("ignoring", TokenKind::Keyword(Keyword::Ignoring)),
    ("group_left", TokenKind::Keyword(Keyword::GroupLeft)),
    ("group_right", TokenKind::Keyword(Keyword::GroupRight)),
    ("fill", TokenKind::Keyword(Keyword::Fill)),
    ("fill_left", TokenKind::Keyword(Keyword::FillLeft)),
    ("fill_right", TokenKind::Keyword(Keyword::FillRight)),
    ("bool", TokenKind::Keyword(Keyword::Bool)),
    ("start", TokenKind::TimeWord(TimeWord::Start)),
    ("end", TokenKind::TimeWord(TimeWord::End)),
    ("step", TokenKind::TimeWord(TimeWord::Step)),
    ("range", TokenKind::TimeWord(TimeWord::Range)),
    ("max_of", TokenKind::TimeWord(TimeWord::MaxOf)),
    ("min_of", TokenKind::TimeWord(TimeWord::MinOf)),
    ("inf", TokenKind::Number),
    ("nan", TokenKind::Number),
];

/// Words that stand between operands.
pub(crate) fn operators() -> impl Iterator<Item = &'static str> {
    WORDS.iter().filter(|(_, kind)| matches!(kind, TokenKind::Op(_))).map(|(word, _)| *word)
}

/// Words for aggregations.
pub(crate) fn aggregates() -> impl Iterator<Item = (&'static str, AggregateOp)> {
    WORDS.iter().filter_map(|(word, kind)| match kind {
        TokenKind::Aggregate(op) => Some((*word, *op)),
        _ => None,
    })
}

/// Words that change what stands beside them.
pub(crate) fn keywords() -> impl Iterator<Item = &'static str> {
    WORDS.iter().filter(|(_, kind)| matches!(kind, TokenKind::Keyword(_))).map(|(word, _)| *word)
}
