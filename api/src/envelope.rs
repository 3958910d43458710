//! The JSON around an answer, its keys always in this order:
//!
//! `{"status":"success","data":…,"errorType":"…","error":"…","warnings":[…],"infos":[…]}`

use crate::error::ApiError;
use crate::json::{JsonOut, to_vec};
use crate::respond::Answer;

/// Writes a success.
pub(crate) fn write_success(out: &mut JsonOut<'_>, answer: Answer) {
    out.open_object();
    out.key("status").string("success");
    if let Some(write) = answer.data {
        out.key("data");
        write(out);
    }
    for (key, texts) in [("warnings", answer.warnings), ("infos", answer.infos)] {
        if !texts.is_empty() {
            out.key(key).strings(&texts);
        }
    }
    out.close_object();
}

/// An error.
pub(crate) fn error(error: &ApiError) -> Vec<u8> {
    to_vec(|out| {
        out.open_object();
        out.key("status").string("error");
        out.key("errorType").string(error.kind.as_str());
        out.key("error").string(&error.message);
        out.close_object();
    })
}
