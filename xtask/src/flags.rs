//! Options with a number, as in `--seed 7`.

use crate::Result;

/// The numbers given for `names`, in their order. Anything else among `args` is refused.
pub(crate) fn numbers<const N: usize>(
    args: &[String],
    names: [&str; N],
) -> Result<[Option<u64>; N]> {
    let mut found = [None; N];
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(at) = names.iter().position(|name| name == arg) else {
            return Err(format!("no option {arg:?}; there are {}", names.join(", ")));
        };
        let value = args.next().map_or("", String::as_str);
        let number = value
            .parse()
            .map_err(|error| format!("{arg} {value:?}: {error}; a whole number is needed"))?;
        if found[at].replace(number).is_some() {
            return Err(format!("{arg} is given twice"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<[Option<u64>; 2]> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        numbers(&args, ["--seed", "--count"])
    }

    #[test]
    fn options_come_in_any_order() {
        assert_eq!(check(""), Ok([None, None]));
        assert_eq!(check("--count 3 --seed 7"), Ok([Some(7), Some(3)]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "--sed 7",
            "7",
            "--seed",
            "--seed x",
            "--seed -1",
            "--seed 1 --seed 2",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
