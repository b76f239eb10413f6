//! Numbers as text, without a detour.

/// Appends a number with at least `width` digits.
pub(super) fn append_number(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

/// Appends half of a number: sums of such numbers are exact in any order.
pub(super) fn append_halves(out: &mut Vec<u8>, halves: u64) {
    append_number(out, halves / 2, 1);
    out.extend_from_slice(if halves % 2 == 1 { b".5" } else { b".0" });
}
