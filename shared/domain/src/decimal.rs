//! Decimal numbers as JSON writes them, read exactly: no digit is rounded and none is added.
//!
//! `26.7`, `26.70` and `267e-1` are one value. What a number is worth decides whether two payments are equal and whether
//! DynamoDB can hold it, so its digits are found here and nowhere else.
//!
//! <https://www.rfc-editor.org/rfc/rfc8259#section-6>

use std::fmt;

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

/// The most digits of a number that is written without an exponent: `1e400` is a short text of a long number.
const MOST_DIGITS: usize = 128;

impl Decimal<'_> {
    /// The number without an exponent and with the decimal places that it was written with: `26.70` stays so, and `267e-1`
    /// is `26.7`. `None` where that has more than 128 digits.
    #[must_use]
    pub fn plain(&self) -> Option<String> {
        let written = [self.whole, self.fraction].concat();
        // Where the point stands among the digits as they are written.
        let whole = i64::try_from(self.whole.len()).ok()?;
        let point = self.exponent?.checked_add(whole)?;
        let most = u64::try_from(MOST_DIGITS).ok()?;
        if written.len() > MOST_DIGITS || point.unsigned_abs() > most {
            return None;
        }
        let before = usize::try_from(-point).unwrap_or_default();
        let point = usize::try_from(point).unwrap_or_default();
        let digits = format!("{}{written}", "0".repeat(before));
        let digits = format!("{digits:0<point$}");
        let (whole, fraction) = digits.split_at_checked(point)?;
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let sign = if self.is_negative && !self.is_zero() {
            "-"
        } else {
            ""
        };
        let point = if fraction.is_empty() { "" } else { "." };
        Some(format!("{sign}{whole}{point}{fraction}"))
    }
}

/// A decimal number to calculate with, exactly: up to 38 digits. What would have more is `None`, never rounded.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// The number's value times ten to the power of `places`.
    units: i128,
    /// How many decimal places it is written with.
    places: u32,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self {
        units: 0,
        places: 0,
    };

    /// Reads a number; `None` for text that is none, and for a number of too many digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = Decimal::parse(text)?.plain()?;
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        Some(Self {
            units: [whole, fraction].concat().parse().ok()?,
            places: u32::try_from(fraction.len()).ok()?,
        })
    }

    /// The sum, with the decimal places of the number that has more of them.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let units = self
            .units_at(places)?
            .checked_add(other.units_at(places)?)?;
        Some(Self { units, places })
    }

    /// The difference, with the decimal places of the number that has more of them.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        let units = other.units.checked_neg()?;
        self.plus(Self { units, ..other })
    }

    /// A hundredth of it, without zeros at the end: 20.0 percent are 0.2.
    #[must_use]
    pub fn hundredth(self) -> Option<Self> {
        let mut hundredth = Self {
            places: self.places.checked_add(2)?,
            ..self
        };
        while hundredth.places > 0 && hundredth.units % 10 == 0 {
            hundredth.units /= 10;
            hundredth.places -= 1;
        }
        Some(hundredth)
    }

    /// Whether it is more than nothing.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.units > 0
    }

    /// Whether it is as much as another, or more; `None` where the two are too far apart to say.
    #[must_use]
    pub fn reaches(self, other: Self) -> Option<bool> {
        let places = self.places.max(other.places);
        Some(self.units_at(places)? >= other.units_at(places)?)
    }

    fn units_at(self, places: u32) -> Option<i128> {
        let factor = 10_i128.checked_pow(places.checked_sub(self.places)?)?;
        self.units.checked_mul(factor)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::try_from(self.places).unwrap_or_default();
        let digits = format!("{:0>1$}", self.units.unsigned_abs(), places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let sign = if self.units < 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
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

    #[rstest]
    #[case("26.70", Some("26.70"))]
    #[case("20", Some("20"))]
    #[case("-0.0", Some("0.0"))]
    #[case("-0.50", Some("-0.50"))]
    #[case("267e-1", Some("26.7"))]
    #[case("2.67E+1", Some("26.7"))]
    #[case("1.5e3", Some("1500"))]
    #[case("5e-3", Some("0.005"))]
    #[case("0e5", Some("0"))]
    #[case("007.5", Some("7.5"))]
    #[case(".5", Some("0.5"))]
    #[case("5.", Some("5"))]
    #[case(&"9".repeat(128), Some(&*"9".repeat(128)))]
    #[case(&"9".repeat(129), None)]
    #[case("1e400", None)]
    #[case("1e-400", None)]
    #[case("1e9223372036854775807", None)]
    #[case("1e-9223372036854775808", None)]
    #[case(".1e-9223372036854775808", None)]
    #[case("1e99999999999999999999", None)]
    fn a_number_without_an_exponent_keeps_its_places(
        #[case] number: &str,
        #[case] plain: Option<&str>,
    ) {
        let decimal = Decimal::parse(number).unwrap();
        assert_eq!(decimal.plain().as_deref(), plain);
    }

    #[rstest]
    #[case("0.1", "0.2", Some("0.3"), Some("-0.1"))]
    #[case("366.1", "306.10", Some("672.20"), Some("60.00"))]
    #[case("5", "-7", Some("-2"), Some("12"))]
    #[case(&"9".repeat(38), "1", Some(&*format!("1{}", "0".repeat(38))), Some(&*format!("{}8", "9".repeat(37))))]
    #[case(&"9".repeat(38), "0.01", None, None)]
    #[case::at_the_end(
        "170141183460469231731687303715884105727",
        "1",
        None,
        Some("170141183460469231731687303715884105726")
    )]
    fn sums_are_exact_or_none(
        #[case] one: &str,
        #[case] other: &str,
        #[case] sum: Option<&str>,
        #[case] difference: Option<&str>,
    ) {
        let (one, other) = (Amount::parse(one).unwrap(), Amount::parse(other).unwrap());
        let text = |amount: Option<Amount>| amount.map(|amount| amount.to_string());
        assert_eq!(text(one.plus(other)).as_deref(), sum);
        assert_eq!(text(one.minus(other)).as_deref(), difference);
    }

    #[rstest]
    #[case("20.0", "0.2")]
    #[case("17.5", "0.175")]
    #[case("0.0", "0")]
    #[case("100", "1")]
    #[case("-8", "-0.08")]
    fn a_hundredth_has_no_zeros_at_the_end(#[case] percent: &str, #[case] part: &str) {
        let amount = Amount::parse(percent).unwrap();
        assert_eq!(amount.hundredth().unwrap().to_string(), part);
    }

    #[rstest]
    #[case("2", "2.00", true, true)]
    #[case("1.99", "2", false, true)]
    #[case("0", "0", true, false)]
    #[case("-1", "-2", true, false)]
    fn amounts_compare(
        #[case] one: &str,
        #[case] other: &str,
        #[case] reaches: bool,
        #[case] is_positive: bool,
    ) {
        let (one, other) = (Amount::parse(one).unwrap(), Amount::parse(other).unwrap());
        assert_eq!(one.reaches(other), Some(reaches));
        assert_eq!(one.is_positive(), is_positive);
    }

    #[rstest]
    fn what_is_no_number_or_too_long_is_no_amount(
        #[values("", "x", "1e40", "1701411834604692317316873037158841057280")] text: &str,
    ) {
        assert!(Amount::parse(text).is_none());
    }

    proptest! {
        #[test]
        fn nothing_that_looks_like_a_number_panics(text in "-?[0-9]{0,45}(\\.[0-9]{0,45})?([eE][+-]?[0-9]{1,20})?") {
            let read = Decimal::parse(&text);
            let plain = read.and_then(|read| read.plain());
            if let Some(plain) = &plain {
                // The plain text is the same number.
                prop_assert_eq!(Decimal::parse(plain).unwrap().canonical(), read.unwrap().canonical());
            }
            if let Some(amount) = Amount::parse(&text) {
                prop_assert_eq!(Some(amount.to_string()), plain);
                prop_assert!(amount.minus(amount).is_none_or(|none| !none.is_positive()));
                prop_assert!(amount.hundredth().is_some());
            }
        }

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
