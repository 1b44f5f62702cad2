//! Terraform's `number`: a decimal of any precision, or an infinity.
//!
//! Enters: decimal text, integers, floats. Leaves: the same number, exactly. Refuses: text that is not a decimal, and
//! decimals so long or so large ([`MAX_DIGITS`]) that comparing two of them would exhaust memory. Terraform itself
//! computes with 512 bits, which is 154 decimal digits.

use std::fmt;
use std::str::FromStr;

use bigdecimal::{BigDecimal, ToPrimitive};

/// The most digits before or after the decimal point that a number may need when written out.
pub const MAX_DIGITS: usize = 8192;

/// A number as Terraform knows it: never rounded on its way through the provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(Repr);

// The order of the variants is the order of the numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Repr {
    NegativeInfinity,
    Finite(BigDecimal),
    PositiveInfinity,
}

/// Why a text or a float is not a [`Number`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not `-12.5e3`-shaped, or the float is not a number.
    #[error("not a decimal number")]
    NotADecimal,
    /// Written out it would need more than [`MAX_DIGITS`] digits on one side of the point.
    #[error("the number needs more than {MAX_DIGITS} digits")]
    TooLarge,
}

impl Number {
    /// The float's exact value, all its binary digits (`0.1_f64` is 0.1000000000000000055…): what a float on the wire
    /// means.
    ///
    /// # Errors
    ///
    /// [`NumberError::NotADecimal`] for NaN.
    pub fn from_f64_exact(value: f64) -> Result<Self, NumberError> {
        if value.is_nan() {
            return Err(NumberError::NotADecimal);
        }
        if value.is_infinite() {
            return Ok(if value > 0.0 {
                Self(Repr::PositiveInfinity)
            } else {
                Self(Repr::NegativeInfinity)
            });
        }
        let exact = BigDecimal::try_from(value).map_err(|_| NumberError::NotADecimal)?;
        Ok(Self(Repr::Finite(exact.normalized())))
    }

    /// The number that the shortest decimal text of the float names (`0.1_f64` is 0.1): what a program means that
    /// computes with floats, and what compares equal to `0.1` in a configuration.
    ///
    /// # Errors
    ///
    /// [`NumberError::NotADecimal`] for NaN.
    pub fn from_f64_shortest(value: f64) -> Result<Self, NumberError> {
        if value.is_finite() {
            value.to_string().parse()
        } else {
            Self::from_f64_exact(value)
        }
    }

    /// The integer, when the number is one and fits.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Finite(decimal) if decimal.is_integer() => decimal.to_i64(),
            _ => None,
        }
    }

    /// The nearest float; infinities stay infinite.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Repr::NegativeInfinity => f64::NEG_INFINITY,
            Repr::PositiveInfinity => f64::INFINITY,
            // The standard library's parser rounds correctly; `BigDecimal::to_f64` does not promise to.
            Repr::Finite(decimal) => decimal.to_scientific_notation().parse().unwrap_or(f64::NAN),
        }
    }

    /// Whether the number has no fraction.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        matches!(&self.0, Repr::Finite(decimal) if decimal.is_integer())
    }

    /// Whether the number is not an infinity.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        matches!(self.0, Repr::Finite(_))
    }
}

impl FromStr for Number {
    type Err = NumberError;

    /// Reads `-12.5e3`: sign, digits, fraction and exponent; no underscores, no blanks, no `inf`.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
            return Err(NumberError::NotADecimal);
        }
        let exponent: i64 = match exponent {
            None => 0,
            Some(exponent) => {
                let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
                if unsigned.is_empty() || !digits(unsigned) {
                    return Err(NumberError::NotADecimal);
                }
                exponent.parse().map_err(|_| NumberError::TooLarge)?
            }
        };
        // Bound the written-out length before any big arithmetic: `1e999999999` is ten bytes of input.
        let limit = MAX_DIGITS as i64;
        if whole.len() > MAX_DIGITS
            || fraction.len() > MAX_DIGITS
            || whole.len() as i64 + exponent.clamp(-limit * 2, limit * 2) > limit
            || fraction.len() as i64 - exponent.clamp(-limit * 2, limit * 2) > limit
        {
            return Err(NumberError::TooLarge);
        }
        let decimal = BigDecimal::from_str(text).map_err(|_| NumberError::NotADecimal)?;
        Ok(Self(Repr::Finite(decimal.normalized())))
    }
}

impl fmt::Display for Number {
    /// Plain decimal digits, never an exponent; infinities as `inf` and `-inf`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::NegativeInfinity => f.write_str("-inf"),
            Repr::PositiveInfinity => f.write_str("inf"),
            Repr::Finite(decimal) => f.write_str(&decimal.to_plain_string()),
        }
    }
}

macro_rules! from_integers {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Number {
            fn from(value: $integer) -> Self {
                Self(Repr::Finite(BigDecimal::from(value).normalized()))
            }
        }
    )*};
}
from_integers!(i32, u32, i64, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit_and_compare_by_value() {
        let text = "123456789012345678901234567890.123456789012345678901234567890001";
        assert_eq!(text.parse::<Number>().unwrap().to_string(), text);
        assert_eq!("1.50e1".parse::<Number>(), Ok(Number::from(15)));
        assert_eq!("-0".parse::<Number>(), Ok(Number::from(0)));
        assert_eq!(
            "18446744073709551615".parse::<Number>(),
            Ok(Number::from(u64::MAX))
        );
    }

    #[test]
    fn floats_are_exact_from_the_wire_and_short_from_a_program() {
        let exact = Number::from_f64_exact(0.1).unwrap();
        assert_eq!(
            exact.to_string(),
            "0.1000000000000000055511151231257827021181583404541015625"
        );
        assert_eq!(Number::from_f64_shortest(0.1), "0.1".parse());
        assert_eq!(exact.to_f64(), 0.1);
        for float in [f64::MAX, f64::MIN_POSITIVE, 5e-324, -1.5, 1e300] {
            assert_eq!(Number::from_f64_exact(float).unwrap().to_f64(), float);
        }
    }

    #[test]
    fn what_is_not_a_number_or_could_fill_memory_is_refused() {
        for text in [
            "", "-", ".", "1_0", " 1", "0x10", "inf", "1e", "1e+", "--1", "1.2.3", "e5",
        ] {
            assert_eq!(
                text.parse::<Number>(),
                Err(NumberError::NotADecimal),
                "{text}"
            );
        }
        for text in [
            "1e999999999",
            "1e-999999999",
            "0e99999999999999999999",
            "1e8192",
        ] {
            assert_eq!(text.parse::<Number>(), Err(NumberError::TooLarge), "{text}");
        }
        assert!("1e8191".parse::<Number>().is_ok());
    }
}
