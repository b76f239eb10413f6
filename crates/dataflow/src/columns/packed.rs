//! Numbers in as few bytes as they need: the way between processes costs more by the byte than the packing.
//!
//! Whole numbers are packed as the first of them and how far each lies from it, in 1, 2, 4 or 8 bytes;
//! lengths as they are, in 1, 2 or 4. Doubles take 4 bytes where all of them are the same as floats of that
//! size, else 8. A number never takes less than a byte, so a damaged count cannot ask for more memory than a
//! small multiple of the bytes that came.
//!
//! The loops are written for the compiler to use vectors: they add, shift and or, and decide at their end.

/// Rows that are looked at in one go before the next decision.
const ROWS: usize = 64;

/// Appends numbers.
pub(super) fn write_numbers(bytes: &mut Vec<u8>, numbers: &[i64]) {
    let first = numbers.first().copied().unwrap_or(0);
    // Two's complement: the distance is right even where it overflows.
    let from_first = |number: i64| number.wrapping_sub(first);
    // Whether all distances are at least -half and less than half.
    let fit = |half: i64| {
        let any = |any: u64, number: &i64| any | from_first(*number).wrapping_add(half) as u64;
        numbers.iter().fold(0, any) < 2 * half as u64
    };
    let width = if fit(1 << 7) {
        1u8
    } else if fit(1 << 15) {
        2
    } else if fit(1 << 31) {
        4
    } else {
        8
    };
    bytes.push(width);
    bytes.extend_from_slice(&first.to_le_bytes());
    match width {
        1 => write_each(bytes, numbers, |number| (from_first(*number) as i8).to_le_bytes()),
        2 => write_each(bytes, numbers, |number| (from_first(*number) as i16).to_le_bytes()),
        4 => write_each(bytes, numbers, |number| (from_first(*number) as i32).to_le_bytes()),
        _ => write_each(bytes, numbers, |number| from_first(*number).to_le_bytes()),
    }
}

/// Appends how far apart neighbouring offsets are.
pub(super) fn write_lengths(bytes: &mut Vec<u8>, offsets: &[i32]) {
    let (from, to) = (&offsets[..offsets.len() - 1], &offsets[1..]);
    let any = from.iter().zip(to).fold(0, |any, (from, to)| any | (to - from));
    let pairs = || from.iter().zip(to);
    match any {
        0..0x100 => {
            bytes.push(1);
            bytes.extend(pairs().map(|(from, to)| (to - from) as u8));
        }
        0x100..0x1_0000 => {
            bytes.push(2);
            write_each(bytes, pairs(), |(from, to)| ((to - from) as u16).to_le_bytes());
        }
        _ => {
            bytes.push(4);
            write_each(bytes, pairs(), |(from, to)| (to - from).to_le_bytes());
        }
    }
}

/// Appends doubles.
pub(super) fn write_doubles(bytes: &mut Vec<u8>, doubles: &[f64]) {
    // NaN, which equals nothing, goes as it is; a zero keeps its sign in either size.
    let is_small = |double: &f64| f64::from(*double as f32) == *double;
    let are_small = |some: &[f64]| some.iter().fold(true, |all, double| all & is_small(double));
    if doubles.chunks(ROWS).all(are_small) {
        bytes.push(4);
        write_each(bytes, doubles, |double| (*double as f32).to_le_bytes());
    } else {
        bytes.push(8);
        write_each(bytes, doubles, |double| double.to_le_bytes());
    }
}

/// Appends values as `put` has them.
pub(super) fn write_each<const N: usize, T>(
    bytes: &mut Vec<u8>,
    values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    put: impl Fn(T) -> [u8; N],
) {
    let values = values.into_iter();
    let start = bytes.len();
    bytes.resize(start + N * values.len(), 0);
    for (place, value) in bytes[start..].as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *place = put(value);
    }
}

/// Takes `count` numbers off the front.
pub(super) fn read_numbers(rest: &mut &[u8], count: usize) -> Option<Vec<i64>> {
    let [width] = *rest.split_off(..1)?.first_chunk()?;
    let first = i64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?);
    match width {
        1 => read_each(rest, count, |far| first.wrapping_add(i64::from(i8::from_le_bytes(far)))),
        2 => read_each(rest, count, |far| first.wrapping_add(i64::from(i16::from_le_bytes(far)))),
        4 => read_each(rest, count, |far| first.wrapping_add(i64::from(i32::from_le_bytes(far)))),
        8 => read_each(rest, count, |far| first.wrapping_add(i64::from_le_bytes(far))),
        _ => None,
    }
}

/// Takes `count` lengths off the front; gives the offsets that they lead to, from 0 on.
pub(super) fn read_offsets(rest: &mut &[u8], count: usize) -> Option<Vec<i32>> {
    match rest.split_off(..1)? {
        [1] => read_sums(rest, count, |[length]: [u8; 1]| u32::from(length)),
        [2] => read_sums(rest, count, |length| u32::from(u16::from_le_bytes(length))),
        [4] => read_sums(rest, count, u32::from_le_bytes),
        _ => None,
    }
}

fn read_sums<const N: usize>(
    rest: &mut &[u8],
    count: usize,
    get: impl Fn([u8; N]) -> u32,
) -> Option<Vec<i32>> {
    let lengths = rest.split_off(..count.checked_mul(N)?)?.as_chunks::<N>().0;
    let all: u64 = lengths.iter().map(|length| u64::from(get(*length))).sum();
    // No sum on the way is more than that of all.
    i32::try_from(all).ok()?;
    let mut sum = 0u32;
    let mut offsets = Vec::with_capacity(count + 1);
    offsets.push(0);
    offsets.extend(lengths.iter().map(|length| {
        sum += get(*length);
        sum as i32
    }));
    Some(offsets)
}

/// Takes `count` doubles off the front.
pub(super) fn read_doubles(rest: &mut &[u8], count: usize) -> Option<Vec<f64>> {
    match rest.split_off(..1)? {
        [4] => read_each(rest, count, |float| f64::from(f32::from_le_bytes(float))),
        [8] => read_each(rest, count, f64::from_le_bytes),
        _ => None,
    }
}

/// Takes `count` values off the front, each of which `get` makes of `N` bytes.
pub(super) fn read_each<const N: usize, T>(
    rest: &mut &[u8],
    count: usize,
    get: impl Fn([u8; N]) -> T,
) -> Option<Vec<T>> {
    let bytes = rest.split_off(..count.checked_mul(N)?)?;
    Some(bytes.as_chunks::<N>().0.iter().map(|chunk| get(*chunk)).collect())
}
