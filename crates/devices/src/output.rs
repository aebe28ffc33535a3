//! Console text of one run.

use serde::{Deserialize, Serialize};

/// Console bytes kept for the result of one run; a guest that floods shall not eat the host.
pub const MAX_OUTPUT_BYTES: usize = 16 << 20;

/// What the guest wrote to console routes that have no handler, up to [`MAX_OUTPUT_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Output {
    /// The bytes, in the order in which the guest wrote them.
    pub bytes: Vec<u8>,
    /// Bytes beyond the limit, which were not kept.
    pub dropped_bytes: u64,
}

impl Output {
    /// Keeps what there is room for.
    pub fn push(&mut self, data: &[u8]) {
        let room = MAX_OUTPUT_BYTES - self.bytes.len();
        let (kept, dropped) = data.split_at(data.len().min(room));
        self.bytes.extend_from_slice(kept);
        self.dropped_bytes += dropped.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut output = Output {
            bytes: vec![0; MAX_OUTPUT_BYTES - 2],
            dropped_bytes: 0,
        };
        output.push(&[1, 2, 3, 4, 5]);
        assert_eq!(
            (output.bytes.len(), output.dropped_bytes),
            (MAX_OUTPUT_BYTES, 3)
        );
        assert_eq!(output.bytes[MAX_OUTPUT_BYTES - 2..], [1, 2]);
        output.push(&[6]);
        assert_eq!(output.dropped_bytes, 4);
    }
}
