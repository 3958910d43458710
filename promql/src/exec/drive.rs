//! Drives sources: reads their columns, on one thread or on several, and hands them on in order.

use rayon::prelude::*;

use super::Context;
use super::scratch::Scratch;
use super::source::Source;
use crate::column::Column;
use crate::engine::QueryError;

/// Series that are computed side by side before they are handed on in order.
const WAVE_SERIES: usize = 256;
/// Values that a wave may hold (8 MiB), however long columns are.
const WAVE_VALUES_MAX: usize = 1 << 20;
/// Below about so many samples threads cost more than they gain.
const PARALLEL_SAMPLES_MIN: usize = 50_000;
/// Series that a thread computes before it asks for more.
const CHUNK_SERIES: usize = 8;

/// Hands every column of the source to the closure, in order of series whatever the number of threads: the
/// result has the same bits.
pub(crate) fn for_each_column(
    ctx: &Context<'_>,
    source: &dyn Source,
    mut visit: impl FnMut(usize, &mut Column) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let samples = source.len().saturating_mul(source.cost());
    match &ctx.pool {
        Some(pool) if samples >= PARALLEL_SAMPLES_MIN => in_waves(ctx, pool, source, &mut visit),
        _ => one_by_one(ctx, source, &mut visit),
    }
}

/// Reads columns that no result is made of, for the annotations and errors that reading them brings about.
pub(crate) fn read_in_vain(
    ctx: &Context<'_>,
    source: &dyn Source,
    series: impl Iterator<Item = usize>,
) -> Result<(), QueryError> {
    let mut scratch = ctx.take_scratch();
    let mut column = scratch.take_column();
    for series in series {
        ctx.check()?;
        source.read(series, &mut scratch, &mut column)?;
    }
    scratch.give_column(column);
    ctx.give_scratch(scratch);
    Ok(())
}

fn one_by_one(
    ctx: &Context<'_>,
    source: &dyn Source,
    visit: &mut dyn FnMut(usize, &mut Column) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let mut scratch = ctx.take_scratch();
    let mut column = scratch.take_column();
    for series in 0..source.len() {
        ctx.check()?;
        source.read(series, &mut scratch, &mut column)?;
        visit(series, &mut column)?;
    }
    scratch.give_column(column);
    ctx.give_scratch(scratch);
    Ok(())
}

fn in_waves(
    ctx: &Context<'_>,
    pool: &rayon::ThreadPool,
    source: &dyn Source,
    visit: &mut dyn FnMut(usize, &mut Column) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let mut wave: Vec<(Column, Result<(), QueryError>)> = Vec::new();
    let mut first = 0;
    let mut wave_len = CHUNK_SERIES;
    let mut held = ctx.budget.reserve(0)?;
    while first < source.len() {
        wave_len = wave_len.min(source.len() - first);
        wave.resize_with(wave_len, || (Column::default(), Ok(())));
        pool.install(|| {
            wave.par_chunks_mut(CHUNK_SERIES).enumerate().for_each(|(chunk, slots)| {
                read_chunk(ctx, source, first + chunk * CHUNK_SERIES, slots);
            });
        });
        if first == 0 {
            held.grow((wave[0].0.len() * size_of::<f64>() * WAVE_SERIES) as u64)?;
        }
        for (offset, (column, outcome)) in wave.iter_mut().enumerate() {
            std::mem::replace(outcome, Ok(()))?;
            visit(first + offset, column)?;
        }
        first += wave_len;
        let steps = wave[0].0.len().max(1);
        wave_len = WAVE_SERIES.min(WAVE_VALUES_MAX / steps).max(CHUNK_SERIES);
    }
    Ok(())
}

fn read_chunk(
    ctx: &Context<'_>,
    source: &dyn Source,
    first: usize,
    slots: &mut [(Column, Result<(), QueryError>)],
) {
    let mut scratch: Scratch = ctx.take_scratch();
    for (offset, (column, outcome)) in slots.iter_mut().enumerate() {
        *outcome = ctx.check().and_then(|()| source.read(first + offset, &mut scratch, column));
    }
    ctx.give_scratch(scratch);
}
