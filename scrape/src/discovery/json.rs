//! Reading the JSON of programs written in Go, in which what is empty is often `null`.

use serde::{Deserialize, Deserializer};

/// Takes `null` as the default.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
