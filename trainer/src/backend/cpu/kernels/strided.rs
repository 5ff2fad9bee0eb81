//! Copies between numbers that lie in different orders.

/// Where a tensor's first number is, and how far apart neighbours along each of its dimensions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) start: usize,
    pub(crate) strides: Vec<isize>,
}

/// A copy of a tensor of these dimensions.
#[derive(Debug, Clone)]
pub(crate) struct StridedCopy {
    /// Dimensions but the innermost, with both strides.
    outer: Vec<(usize, [isize; 2])>,
    inner: (usize, [isize; 2]),
    starts: [usize; 2],
}

impl StridedCopy {
    pub(crate) fn new(dims: &[usize], from: &View, to: &View) -> Self {
        let strides = from.strides.iter().zip(&to.strides).map(|(&from, &to)| [from, to]);
        let mut axes: Vec<_> = dims.iter().copied().zip(strides).filter(|&(dim, _)| dim != 1).collect();
        // Those that are far apart outside, the nearest inside.
        axes.sort_by_key(|&(_, [from, to])| std::cmp::Reverse(from.abs().saturating_add(to.abs())));
        let inner = axes.pop().unwrap_or((1, [1, 1]));
        Self { outer: axes, inner, starts: [from.start, to.start] }
    }

    /// The same numbers the other way.
    pub(crate) fn reversed(&self) -> Self {
        let turned = |&(dim, [from, to]): &(usize, [isize; 2])| (dim, [to, from]);
        let [from, to] = self.starts;
        Self { outer: self.outer.iter().map(turned).collect(), inner: turned(&self.inner), starts: [to, from] }
    }

    pub(crate) fn run(&self, from: &[f32], to: &mut [f32]) {
        let mut index = vec![0; self.outer.len()];
        let [mut source, mut target] = self.starts;
        let (count, [near, far]) = self.inner;
        loop {
            if (near, far) == (1, 1) {
                to[target..target + count].copy_from_slice(&from[source..source + count]);
            } else {
                let (mut source, mut target) = (source, target);
                for _ in 0..count {
                    to[target] = from[source];
                    source = source.wrapping_add_signed(near);
                    target = target.wrapping_add_signed(far);
                }
            }
            let mut axis = self.outer.len();
            loop {
                let Some(next) = axis.checked_sub(1) else { return };
                axis = next;
                let (dim, [from, to]) = self.outer[axis];
                index[axis] += 1;
                source = source.wrapping_add_signed(from);
                target = target.wrapping_add_signed(to);
                if index[axis] < dim {
                    break;
                }
                index[axis] = 0;
                source = source.wrapping_add_signed(-from * dim as isize);
                target = target.wrapping_add_signed(-to * dim as isize);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_there_and_back() {
        let rows = View { start: 0, strides: vec![3, 1] };
        let columns = View { start: 0, strides: vec![1, 2] };
        let copy = StridedCopy::new(&[2, 3], &rows, &columns);
        let (mut there, mut back) = ([0.0; 6], [0.0; 6]);
        copy.run(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut there);
        assert_eq!(there, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        copy.reversed().run(&there, &mut back);
        assert_eq!(back, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn goes_backwards() {
        let backwards = View { start: 2, strides: vec![-1] };
        let mut to = [0.0; 3];
        StridedCopy::new(&[3], &backwards, &View { start: 0, strides: vec![1] }).run(&[1.0, 2.0, 3.0], &mut to);
        assert_eq!(to, [3.0, 2.0, 1.0]);
    }
}
