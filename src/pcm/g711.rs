//! ITU-T G.711: a sample in a byte, in the two ways that telephones have.
//!
//! **Invariant:** a byte that is decoded and encoded again sounds the same.

/// The byte that is silence in µ-law.
pub const MU_LAW_SILENCE: u8 = 0x7f;

/// The byte that is silence in A-law.
pub const A_LAW_SILENCE: u8 = 0xd5;

/// The loudest sample that µ-law has room for, before its bias.
const MU_LAW_MAX: u16 = 32_635;

/// What µ-law adds to a magnitude, so that every segment begins at a power of two.
const BIAS: u16 = 0x84;

/// A sample from a byte of A-law.
#[must_use]
pub fn from_a_law(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let (segment, step) = (code >> 4 & 7, i16::from(code & 15) << 4);
    let size = if segment == 0 { step + 0x008 } else { (step + 0x108) << (segment - 1) };
    if code & 0x80 == 0 { -size } else { size }
}

/// A byte of A-law from a sample.
#[must_use]
pub fn to_a_law(sample: i16) -> u8 {
    let (sign, size) = if sample < 0 { (0, !sample as u16) } else { (0x80, sample as u16) };
    let code = if size < 0x100 { (size >> 4) as u8 } else { segment(size) };
    (sign | code) ^ 0x55
}

/// A sample from a byte of µ-law.
#[must_use]
pub fn from_mu_law(byte: u8) -> i16 {
    let code = !byte;
    let size = (((i16::from(code & 15) << 3) + 0x84) << (code >> 4 & 7)) - 0x84;
    if code & 0x80 == 0 { size } else { -size }
}

/// A byte of µ-law from a sample.
#[must_use]
pub fn to_mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let size = sample.unsigned_abs().min(MU_LAW_MAX) + BIAS;
    // Its first segment begins where A-law's second does not: at the bias.
    let exponent = size.ilog2() as u16 - 7;
    !(sign | (exponent << 4) as u8 | (size >> (exponent + 3) & 15) as u8)
}

/// Segment and step of a magnitude of at least 0x100.
fn segment(size: u16) -> u8 {
    let exponent = size.ilog2() as u16 - 7;
    (exponent << 4) as u8 | (size >> (exponent + 3) & 15) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_encoded_again_sounds_the_same() {
        for byte in 0..=u8::MAX {
            assert_eq!(from_mu_law(to_mu_law(from_mu_law(byte))), from_mu_law(byte), "{byte:#x}");
            assert_eq!(to_a_law(from_a_law(byte)), byte);
        }
    }

    #[test]
    fn no_sample_is_farther_than_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            for (law, heard) in
                [("µ", from_mu_law(to_mu_law(sample))), ("A", from_a_law(to_a_law(sample)))]
            {
                let off = i32::from(heard).abs_diff(i32::from(sample));
                let size = u32::from(sample.unsigned_abs());
                assert!(off <= size / 16 + 24, "{law}-law makes {heard} of {sample}");
            }
        }
    }

    #[test]
    fn silence_is_silent() {
        assert_eq!((from_mu_law(MU_LAW_SILENCE), from_a_law(A_LAW_SILENCE)), (0, 8));
    }
}
