//! The extended state (x87, SSE, AVX, …) of what handlers have interrupted. It is kept here and not
//! on the program's stack, so that none is ever loaded that KVM has not given.

use std::sync::Arc;

/// Handlers that have been entered and not left, at most: the oldest is forgotten, and goes on with
/// the state of the handler that returns to it.
const MOST: usize = 64;

/// By where the frame of each lies, the latest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames(Vec<(u64, Arc<[u32]>)>);

impl Frames {
    /// What is interrupted by the handler of this frame. Another one there is gone: it was left by
    /// a jump.
    pub fn put(&mut self, frame: u64, state: Arc<[u32]>) {
        self.0.retain(|(other, _)| *other != frame);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((frame, state));
    }

    pub fn take(&mut self, frame: u64) -> Option<Arc<[u32]>> {
        let index = self.0.iter().rposition(|(other, _)| *other == frame)?;
        Some(self.0.remove(index).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_kept_as_there_is_room_for_and_each_is_taken_once() {
        let mut frames = Frames::default();
        for frame in 0..100_000_u64 {
            frames.put(frame * 16, Arc::from([frame as u32]));
            frames.put(frame * 16, Arc::from([frame as u32 + 1]));
        }
        assert_eq!(frames.0.len(), MOST);
        let state = frames.take(99_999 * 16);
        assert_eq!(state.as_deref(), Some([100_000].as_slice()));
        assert_eq!(frames.take(99_999 * 16), None);
        assert_eq!(frames.take(0), None);
    }
}
