//! Rows of numbers in few bytes: by column, each number in as many bytes as the largest of its column needs.
//!
//! The form in which chunks of a snapshot leave the process. Counts and sums are small numbers in wide cells:
//! a row of a usual job takes a fourth of its memory. Reading back gives the same numbers.

/// Set in the width of a column whose numbers are signed.
const SIGNED: u8 = 0x80;
/// Rows that are packed in one go: they stay in the nearest cache.
const BLOCK_ROWS: usize = 512;

/// Rows of `stride` little-endian numbers of `N` bytes: for each column its width, then its numbers. No rows are no
/// bytes.
///
/// Numbers behind the last whole row are left out; there are none.
pub(crate) fn pack<const N: usize>(numbers: &[[u8; N]], stride: usize) -> Vec<u8> {
    let rows = numbers.len() / stride.max(1);
    if rows == 0 {
        return Vec::new();
    }
    let columns = widths(numbers, stride);
    let bytes: usize = columns.iter().map(|width| 1 + rows * usize::from(width & !SIGNED)).sum();
    let mut packed = vec![0; bytes];
    let mut rest = packed.as_mut_slice();
    let mut places = Vec::with_capacity(stride);
    for width in columns {
        rest[0] = width;
        let width = usize::from(width & !SIGNED);
        let (column, behind) = rest[1..].split_at_mut(rows * width);
        places.push((width, column));
        rest = behind;
    }
    // A block at a time, so that its rows come from memory once and not once a column.
    for block in numbers[..rows * stride].chunks(BLOCK_ROWS * stride) {
        for (at, (width, column)) in places.iter_mut().enumerate() {
            let numbers = block.iter().skip(at).step_by(stride);
            let (now, later) = std::mem::take(column).split_at_mut(block.len() / stride * *width);
            *column = later;
            match width {
                0 => {}
                1 => cut::<N, 1>(numbers, now),
                2 => cut::<N, 2>(numbers, now),
                3 => cut::<N, 3>(numbers, now),
                4 => cut::<N, 4>(numbers, now),
                5 => cut::<N, 5>(numbers, now),
                6 => cut::<N, 6>(numbers, now),
                7 => cut::<N, 7>(numbers, now),
                _ => cut::<N, 8>(numbers, now),
            }
        }
    }
    packed
}

/// The numbers of `rows` rows again; `None` if the bytes are not that.
pub(crate) fn unpack(mut packed: &[u8], rows: usize, stride: usize) -> Option<Vec<u64>> {
    if rows == 0 {
        return packed.is_empty().then(Vec::new);
    }
    // Each number of a column of width 0 takes no byte, so `rows` must be known to be no nonsense.
    let mut numbers = vec![0; rows.checked_mul(stride)?];
    for column in 0..stride {
        let (&width, rest) = packed.split_first()?;
        let (signed, width) = (width & SIGNED != 0, usize::from(width & !SIGNED));
        if width > 8 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(rows * width)?;
        packed = rest;
        if width == 0 {
            continue;
        }
        let shift = 64 - 8 * width as u32;
        let places = numbers.iter_mut().skip(column).step_by(stride);
        for (place, bytes) in places.zip(bytes.chunks_exact(width)) {
            let mut wide = [0; 8];
            wide[..width].copy_from_slice(bytes);
            let number = u64::from_le_bytes(wide);
            *place = if signed { ((number << shift) as i64 >> shift) as u64 } else { number };
        }
    }
    packed.is_empty().then_some(numbers)
}

/// How many bytes the numbers of each column need.
fn widths<const N: usize>(numbers: &[[u8; N]], stride: usize) -> Vec<u8> {
    // All bits that a number has; and those that it has when its sign is folded into the lowest one.
    let mut bits = vec![(0u64, 0u64); stride];
    for row in numbers.chunks_exact(stride.max(1)) {
        for ((plain, folded), number) in bits.iter_mut().zip(row) {
            let number = wide(number);
            *plain |= number;
            *folded |= (number << 1) ^ ((number as i64 >> 63) as u64);
        }
    }
    let bytes = |bits: u64| (64 - bits.leading_zeros()).div_ceil(8) as u8;
    let width = |(plain, folded)| match (bytes(plain), bytes(folded)) {
        (plain, folded) if folded < plain => folded | SIGNED,
        (plain, _) => plain,
    };
    bits.into_iter().map(width).collect()
}

fn wide<const N: usize>(number: &[u8; N]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..N].copy_from_slice(number);
    u64::from_le_bytes(bytes)
}

/// Writes the lowest `W` bytes of each number.
fn cut<'a, const N: usize, const W: usize>(numbers: impl Iterator<Item = &'a [u8; N]>, packed: &mut [u8]) {
    for (number, place) in numbers.zip(packed.as_chunks_mut::<W>().0) {
        *place = std::array::from_fn(|at| if at < N { number[at] } else { 0 });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(numbers: &[u64]) -> Vec<[u8; 8]> {
        numbers.iter().map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn small_numbers_take_few_bytes_whatever_their_sign() {
        let rows = [[3, -1i64 as u64, 0, 70_000], [200, 90, 0, u64::MAX]];
        let packed = pack(&bytes(&rows.concat()), 4);
        // The last column is 70,000 and -1: three bytes each.
        assert_eq!(packed.len(), (1 + 2) + (1 + 2) + 1 + (1 + 2 * 3));
        assert_eq!(unpack(&packed, 2, 4).unwrap(), rows.concat());
    }

    #[test]
    fn no_rows_are_no_bytes() {
        assert_eq!(pack::<8>(&[], 3), [0u8; 0]);
        assert_eq!(unpack(&[], 0, 3), Some(vec![]));
        assert_eq!(unpack(&[0], 0, 1), None);
    }

    fn number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0u32..64, any::<bool>()).prop_map(|(number, shift, negative)| {
            let small = number >> shift;
            if negative { small.wrapping_neg() } else { small }
        })
    }

    proptest! {
        #[test]
        fn what_is_unpacked_is_what_was_packed(
            stride in 1usize..6,
            numbers in prop::collection::vec(number(), 0..4000),
        ) {
            let rows = numbers.len() / stride;
            let numbers = &numbers[..rows * stride];
            prop_assert_eq!(unpack(&pack(&bytes(numbers), stride), rows, stride).unwrap(), numbers);
        }

        #[test]
        fn numbers_of_four_bytes_come_back_as_well(numbers in prop::collection::vec(any::<u32>(), 0..50)) {
            let narrow: Vec<[u8; 4]> = numbers.iter().map(|number| number.to_le_bytes()).collect();
            let wide: Vec<u64> = numbers.iter().map(|number| u64::from(*number)).collect();
            prop_assert_eq!(unpack(&pack(&narrow, 1), numbers.len(), 1).unwrap(), wide);
        }

        #[test]
        fn other_bytes_are_refused_or_are_numbers(
            packed in prop::collection::vec(any::<u8>(), 0..60), rows in 0usize..9, stride in 0usize..4,
        ) {
            if let Some(numbers) = unpack(&packed, rows, stride) {
                prop_assert_eq!(numbers.len(), rows * stride);
            }
        }
    }
}
