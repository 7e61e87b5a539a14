//! Bytes as decisions: a structure-aware target draws from them what a random generator would draw from dice.

/// Reads decisions off the front. At the end everything is 0, so that every prefix of an input means something.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of all of it.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `bound`, which is at most 256.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// True in `percent` of all bytes.
    pub fn chance(&mut self, percent: usize) -> bool {
        usize::from(self.byte()) * 100 / 256 >= 100 - percent
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Eight bytes as they are.
    pub fn raw(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A number: small mostly, else one of those at which arithmetic breaks, else anything.
    pub fn number(&mut self) -> u64 {
        const EDGES: [u64; 8] =
            [0, 1, u32::MAX as u64, 1 << 32, i64::MAX as u64, u64::MAX - 1, u64::MAX, (1 << 48) - 1];
        match self.byte() {
            0..176 => u64::from(self.byte()),
            176..240 => self.pick(&EDGES),
            _ => self.raw(),
        }
    }

    /// The same in 32 bits.
    pub fn short(&mut self) -> u32 {
        let number = self.number();
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// What is left up to the next `end`, which is taken off too.
    pub fn until(&mut self, end: u8) -> &'a [u8] {
        let at = self.0.iter().position(|byte| *byte == end).unwrap_or(self.0.len());
        let (part, rest) = self.0.split_at(at);
        self.0 = rest.get(1..).unwrap_or_default();
        part
    }

    /// As many bytes as the next two bytes say, or what is left.
    pub fn part(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()) | usize::from(self.byte()) << 8;
        self.take(length)
    }

    /// So many bytes, or what is left.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (part, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        part
    }

    /// All that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
