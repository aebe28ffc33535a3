//! Repeatable random numbers for tests.

/// Marsaglia's xorshift64 (Journal of Statistical Software 8(14), 2003).
pub(crate) struct Noise(u64);

impl Noise {
    /// The stream of a seed other than 0.
    pub fn new(seed: u64) -> Self {
        assert_ne!(seed, 0);
        Self(seed)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}
