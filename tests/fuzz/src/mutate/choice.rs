//! What is decided at random.

/// Numbers at which something ends: sizes, their limits, and those of the types that hold them.
const EDGES: [i64; 20] = [
    i64::MIN,
    i64::MIN + 1,
    -(1 << 31),
    -3,
    -2,
    -1,
    0,
    1,
    2,
    3,
    4,
    7,
    224,
    1 << 13,
    1 << 20,
    (1 << 20) + 1,
    1 << 28,
    1 << 31,
    1 << 62,
    i64::MAX,
];

/// A generator of numbers that are the same for the same seed (Steele et al. 2014, SplitMix).
pub(super) struct Choice(u64);

impl Choice {
    pub(super) fn new(seed: u32) -> Self {
        Self(seed.into())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below this one, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// One of these, if there is any.
    pub(super) fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        (!all.is_empty()).then(|| &all[self.below(all.len())])
    }

    /// One of these words.
    pub(super) fn word(&mut self, words: &str) -> String {
        let words: Vec<&str> = words.split_whitespace().collect();
        words[self.below(words.len())].to_owned()
    }

    /// One of these, to be changed.
    pub(super) fn of_mut<'a, T>(&mut self, all: &'a mut [T]) -> Option<&'a mut T> {
        (!all.is_empty()).then(|| &mut all[self.below(all.len())])
    }

    /// Another number in the place of this one: a neighbour, or one of the edges.
    pub(super) fn number(&mut self, number: &mut i64) {
        *number = match self.below(8) {
            0..=2 => number.wrapping_add(1),
            3..=5 => number.wrapping_sub(1),
            _ => self.edge(),
        };
    }

    /// A small number, or one of the edges.
    fn edge(&mut self) -> i64 {
        if self.one_in(2) { self.below(9) as i64 } else { EDGES[self.below(EDGES.len())] }
    }

    /// Other numbers: one changed, added, or gone.
    pub(super) fn numbers(&mut self, numbers: &mut Vec<i64>) {
        let at = self.below(numbers.len() + 1);
        match (self.below(4), numbers.get_mut(at)) {
            (0, Some(_)) => drop(numbers.remove(at)),
            (1, _) | (_, None) => numbers.insert(at, self.edge()),
            (_, Some(number)) => self.number(number),
        }
    }

    /// A real number.
    pub(super) fn real(&mut self) -> f32 {
        match self.below(8) {
            0 => f32::from_bits(self.next() as u32),
            1 => f32::NAN,
            2 => f32::INFINITY,
            _ => self.below(9) as f32 / 4.0 - 1.0,
        }
    }

    /// Another text: with a character gone, or twice.
    pub(super) fn text(&mut self, text: &mut String) {
        let mut letters: Vec<char> = text.chars().collect();
        let at = self.below(letters.len() + 1);
        match letters.get(at).copied() {
            Some(letter) if self.one_in(2) => letters.insert(at, letter),
            Some(_) => drop(letters.remove(at)),
            None => letters.push('0'),
        }
        *text = letters.into_iter().collect();
    }
}
