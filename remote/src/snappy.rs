//! Bodies in snappy's block format.

/// The longest message after decompression; the reference's bound. A sender's are about 500 kB.
const DECODED_BYTES_MAX: usize = 32 << 20;

/// Undoes the compression of a request.
pub(crate) fn decompress(body: &[u8]) -> Result<Vec<u8>, String> {
    decompress_within(body, DECODED_BYTES_MAX)
}

/// Undoes the compression. The length that a body announces is checked before it sizes anything.
pub(crate) fn decompress_within(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, String> {
    let len = snap::raw::decompress_len(body).map_err(|error| error.to_string())?;
    if len > bytes_max {
        return Err(format!("snappy: decoded block is too large: {len} bytes, limit {bytes_max}"));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|error| error.to_string())
}
