//! `relay crds`.

use std::io::{self, Write as _};

use relay_model::definitions;

use crate::{Out, print};

/// Prints the definitions of all custom resources; the exit code.
pub(crate) fn crds(out: Out) -> u8 {
    let all = definitions::all();
    let text = match out {
        Out::Text => definitions::to_yaml(&all).map_err(io::Error::other),
        Out::Json => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": all});
            Ok(format!("{list:#}\n"))
        }
    };
    print::printed(text.and_then(|text| io::stdout().write_all(text.as_bytes())))
}
