//! Check digits: Luhn (ISO/IEC 7812-1, annex B) and that of mainland identity numbers (GB 11643-1999, ISO 7064 MOD 11-2).

/// What the digit at `place` of `len`, counted from the left, adds to the sum of Luhn.
const fn luhn(digit: u32, place: usize, len: usize) -> u32 {
    let doubled = len.wrapping_sub(place).is_multiple_of(2);
    match digit {
        digit if !doubled => digit,
        digit if digit < 5 => 2 * digit,
        digit => 2 * digit - 9,
    }
}

/// The digit that belongs at `place`, for all of `digits` to pass Luhn. There is always one, and only one.
pub(super) fn luhn_digit(digits: &[char], place: usize) -> Option<char> {
    let mut sum = 0;
    for (at, digit) in digits.iter().enumerate().filter(|(at, _)| *at != place) {
        sum += luhn(digit.to_digit(10)?, at, digits.len());
    }
    let digit = (0..10).find(|digit| (sum + luhn(*digit, place, digits.len())).is_multiple_of(10))?;
    char::from_digit(digit, 10)
}

/// The last character of an identity number that begins with these 17 digits.
pub(super) fn identity_digit(digits: &[char]) -> Option<char> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let mut sum = 0;
    for (digit, weight) in digits.iter().zip(WEIGHTS) {
        sum += digit.to_digit(10)? * weight;
    }
    match (12 - sum % 11) % 11 {
        10 => Some('X'),
        digit => char::from_digit(digit, 10),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    fn digits(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn check_digits_are_those_of_the_standards() {
        for number in ["4111111111111111", "5500005555555559", "340000000000009", "6011000990139424"] {
            let number = digits(number);
            for place in 0..number.len() {
                assert_eq!(luhn_digit(&number, place), Some(number[place]), "{place}");
            }
        }
        // The example of GB 11643-1999, and one with a plain digit.
        assert_eq!(identity_digit(&digits("11010519491231002")), Some('X'));
        assert_eq!(identity_digit(&digits("44052418800101001")), Some('4'));
    }
}
