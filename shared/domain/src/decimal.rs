//! Decimal numbers as JSON writes them, read exactly: no digit is rounded and none is added.
//!
//! `26.7`, `26.70` and `267e-1` are one value. What a number is worth decides whether two payments are equal and whether
//! DynamoDB can hold it, so its digits are found here and nowhere else.
//!
//! <https://www.rfc-editor.org/rfc/rfc8259#section-6>

/// A decimal number: its digits without zeros at either end, and the power of ten at which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    /// How many zeros stand before the first other digit; `None` where there is no other digit.
    leading_zeros: Option<usize>,
    trailing_zeros: usize,
    /// The written exponent; `None` where it does not fit 64 bits.
    exponent: Option<i64>,
}

impl<'a> Decimal<'a> {
    /// Reads a number; `None` for text that is none.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent),
            None => (text, "0"),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let is_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits().next().is_none()
            || !digits().all(|byte| byte.is_ascii_digit())
            || !is_digits(exponent_digits)
        {
            return None;
        }
        let is_significant = |digit| digit != b'0';
        Some(Self {
            is_negative,
            whole,
            fraction,
            leading_zeros: digits().position(is_significant),
            trailing_zeros: digits().rev().position(is_significant).unwrap_or_default(),
            exponent: exponent.parse().ok(),
        })
    }

    /// Whether every digit is a zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.leading_zeros.is_none()
    }

    /// How many digits there are between the zeros at either end.
    #[must_use]
    pub fn digits(&self) -> usize {
        let written = self.whole.len() + self.fraction.len();
        self.leading_zeros
            .map_or(0, |leading| written - leading - self.trailing_zeros)
    }

    /// The power of ten of the first of these digits; `None` for a zero, and beyond 64 bits.
    #[must_use]
    pub fn first_power(&self) -> Option<i64> {
        let leading = i64::try_from(self.leading_zeros?).ok()?;
        let whole = i64::try_from(self.whole.len()).ok()?;
        self.exponent?.checked_add(whole)?.checked_sub(leading + 1)
    }

    /// One spelling for equal numbers, such as `267e-1`; `None` where an exponent does not fit 64 bits.
    #[must_use]
    pub fn canonical(&self) -> Option<String> {
        let exponent = self.exponent?;
        let Some(leading) = self.leading_zeros else {
            return Some("0".to_owned());
        };
        let places = i64::try_from(self.fraction.len()).ok()?;
        let zeros = i64::try_from(self.trailing_zeros).ok()?;
        let power = exponent.checked_sub(places)?.checked_add(zeros)?;
        let sign = if self.is_negative { "-" } else { "" };
        let digits: String = [self.whole, self.fraction]
            .concat()
            .chars()
            .skip(leading)
            .take(self.digits())
            .collect();
        Some(format!("{sign}{digits}e{power}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("26.70", Some("267e-1"))]
    #[case("-26.7", Some("-267e-1"))]
    #[case("0.0120", Some("12e-3"))]
    #[case("-0.0", Some("0"))]
    #[case("1E+3", Some("1e3"))]
    #[case("1200", Some("12e2"))]
    #[case("true", None)]
    #[case("", None)]
    #[case("-", None)]
    #[case("1e", None)]
    #[case("1e+-3", None)]
    #[case("1e99999999999999999999", None)]
    fn equal_numbers_have_one_spelling(#[case] number: &str, #[case] canonical: Option<&str>) {
        let decimal = Decimal::parse(number);
        assert_eq!(
            decimal.and_then(|decimal| decimal.canonical()).as_deref(),
            canonical
        );
    }

    #[rstest]
    fn what_is_no_number_is_none(
        #[values(
            "", "-", ".", "1e", "e1", "1ex", "1e1x", "1e+", "1a", "x1", "true", "1.2.3"
        )]
        text: &str,
    ) {
        assert!(Decimal::parse(text).is_none());
    }

    #[test]
    fn a_zero_has_no_digits_whatever_its_exponent() {
        for zero in ["0", "-0.000", "0e99999999999999999999"] {
            let zero = Decimal::parse(zero).unwrap();
            assert!(zero.is_zero());
            assert_eq!((zero.digits(), zero.first_power()), (0, None));
        }
        assert!(!Decimal::parse("0.01").unwrap().is_zero());
    }

    proptest! {
        #[test]
        fn digits_and_power_do_not_depend_on_how_a_number_is_written(
            digits in "[1-9]([0-9]{0,35}[1-9])?",
            power in -130_i64..=125,
            point in 0..80_usize,
            zeros in (0..50_usize, 0..50_usize),
        ) {
            // 0.000ddd000, with the point moved about and the exponent made to fit.
            let (before, after) = ("0".repeat(zeros.0), "0".repeat(zeros.1));
            let written = format!("{before}{digits}{after}");
            let point = point.min(written.len());
            let (whole, fraction) = written.split_at(point);
            let first = i64::try_from(point).unwrap() - 1 - i64::try_from(zeros.0).unwrap();
            let number = format!("-{whole}.{fraction}e{}", power - first);
            let decimal = Decimal::parse(&number).unwrap();
            prop_assert_eq!((decimal.digits(), decimal.first_power()), (digits.len(), Some(power)));
            let last = power + 1 - i64::try_from(digits.len()).unwrap();
            prop_assert_eq!(decimal.canonical(), Some(format!("-{digits}e{last}")));
        }
    }
}
