//! What the name of a file says of its bytes, so that whoever has nothing but the archive finds out that one is damaged.
//!
//! Checkpoints name their files with length and checksum, but are gone long before the archive is. So the checksum is a
//! part of the name, and that of the footer beside it: a footer is read alone, to find the records of a partition.

use xxhash_rust::xxh3::xxh3_64;

/// The length of the footer, and the mark at the end of the file.
pub(crate) const END: usize = 8;
/// Hexadecimal digits of a checksum.
const DIGITS: usize = 16;

/// Checksums of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Of the footer, with its length and mark.
    pub(crate) footer: u64,
    /// Of all of it.
    pub(crate) whole: u64,
}

impl Seal {
    /// The seal of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let start = footer_start(bytes).unwrap_or_default();
        Seal { footer: xxh3_64(&bytes[start..]), whole: xxh3_64(bytes) }
    }

    /// As a part of a name.
    pub(crate) fn text(self) -> String {
        format!("{:016x}{:016x}", self.footer, self.whole)
    }

    /// The seal in the name of a file, which ends with it.
    pub(crate) fn in_name(name: &str) -> Option<Self> {
        let text = name.rsplit('/').next()?.strip_suffix(crate::place::ENDING)?.rsplit('-').next()?;
        let (footer, whole) = text.split_at_checked(DIGITS).filter(|(_, whole)| whole.len() == DIGITS)?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Seal { footer: number(footer)?, whole: number(whole)? })
    }
}

/// Where the footer begins in the last bytes of a file, of which there are enough; `None` if there is none.
pub(crate) fn footer_start(bytes: &[u8]) -> Option<usize> {
    let end = bytes.len().checked_sub(END)?;
    let length = bytes[end..].first_chunk::<4>().filter(|_| bytes.ends_with(b"PAR1"))?;
    end.checked_sub(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_the_seal_and_any_other_name_holds_none() {
        let bytes = [b"PAR1 rows footer".as_slice(), &[6, 0, 0, 0], b"PAR1"].concat();
        let seal = Seal::of(&bytes);
        assert_eq!((seal.footer, seal.whole), (xxh3_64(&bytes[10..]), xxh3_64(&bytes)));
        let name =
            format!("events/date=2026-11-28/0000000001-000-00000000000000ff-0001-{}.parquet", seal.text());
        assert_eq!(Seal::in_name(&name), Some(seal));
        for other in
            ["0000000001-x.parquet", "0000000001.parquet", &name[..name.len() - 9], &name[..name.len() - 8]]
        {
            assert_eq!(Seal::in_name(other), None, "{other}");
        }
    }
}
