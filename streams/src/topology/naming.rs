//! Kafka's generated names: one counter over the whole program, ten digits.

/// Makes names in the order of declaration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    next: u32,
}

impl Naming {
    /// The next generated name, as in `KSTREAM-FILTER-0000000001`.
    pub(crate) fn generate(&mut self, prefix: &str) -> String {
        let index = self.next;
        self.next += 1;
        format!("{prefix}{index:010}")
    }

    /// The user's name if there is one. A number is used up in any case, so that naming one
    /// operator does not rename those after it.
    pub(crate) fn choose(&mut self, given: Option<&str>, prefix: &str) -> String {
        let generated = self.generate(prefix);
        given.map_or(generated, str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_name_uses_up_a_number() {
        let mut naming = Naming::default();
        assert_eq!(
            naming.generate("KSTREAM-SOURCE-"),
            "KSTREAM-SOURCE-0000000000"
        );
        assert_eq!(naming.choose(Some("words"), "KSTREAM-KEY-SELECT-"), "words");
        assert_eq!(
            naming.choose(None, "KSTREAM-MAP-"),
            "KSTREAM-MAP-0000000002"
        );
    }
}
