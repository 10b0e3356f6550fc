//! The changes of one `UpdateItem`, attribute by attribute.
//!
//! Every name goes by a placeholder: `data`, `status` and some 570 others are reserved words.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

use super::Item;

/// What an `UpdateItem` sets, removes and adds, and on what condition.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: Item,
}

impl Changes {
    /// Sets an attribute.
    pub(crate) fn set(self, name: &str, value: AttributeValue) -> Self {
        self.set_to(name, &format!(":{name}"), value)
    }

    /// Sets an attribute, unless the item has it.
    pub(crate) fn set_once(self, name: &str, value: AttributeValue) -> Self {
        self.set_to(name, &format!("if_not_exists(#{name}, :{name})"), value)
    }

    /// Sets an attribute to an expression with the value `:{name}`.
    pub(crate) fn set_to(mut self, name: &str, expression: &str, value: AttributeValue) -> Self {
        self.set.push(format!("#{name} = {expression}"));
        self.naming(name).with(name, value)
    }

    /// Sets an attribute to what another one is before the change, or to a value that [`Changes::with`] adds.
    pub(crate) fn set_to_other(mut self, name: &str, other: &str, otherwise: &str) -> Self {
        self.set
            .push(format!("#{name} = if_not_exists(#{other}, :{otherwise})"));
        self.naming(name).naming(other)
    }

    /// Removes an attribute.
    pub(crate) fn remove(mut self, name: &str) -> Self {
        self.remove.push(format!("#{name}"));
        self.naming(name)
    }

    /// Adds to a number, or to a set.
    pub(crate) fn add(mut self, name: &str, value: AttributeValue) -> Self {
        self.add.push(format!("#{name} :{name}"));
        self.naming(name).with(name, value)
    }

    /// Makes the changes only where a condition holds. It may use the names and values of the changes, and
    /// what [`Changes::naming`] and [`Changes::with`] add.
    pub(crate) fn only_if(mut self, condition: &str) -> Self {
        self.condition = Some(condition.to_owned());
        self
    }

    /// Lets an expression use `#{name}`.
    pub(crate) fn naming(mut self, name: &str) -> Self {
        self.names.insert(format!("#{name}"), name.to_owned());
        self
    }

    /// Lets an expression use `:{name}`.
    pub(crate) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    /// The update expression.
    pub(crate) fn expression(&self) -> String {
        let part = |word: &str, changes: &[String]| match changes {
            [] => String::new(),
            changes => format!("{word} {} ", changes.join(", ")),
        };
        let parts = [
            part("SET", &self.set),
            part("REMOVE", &self.remove),
            part("ADD", &self.add),
        ];
        parts.concat().trim_end().to_owned()
    }

    /// Puts the changes into a call.
    pub(crate) fn into_call(self, call: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        call.update_expression(self.expression())
            .set_condition_expression(self.condition)
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values((!self.values.is_empty()).then_some(self.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamo::{number, text};

    #[test]
    fn every_name_and_value_goes_by_a_placeholder() {
        let changes = Changes::default()
            .set("data", text("d"))
            .set_once("status", text("s"))
            .set_to("previous", "if_not_exists(#hash, :previous)", text("p"))
            .naming("hash")
            .remove("dataref")
            .add("attempts", number(1))
            .only_if("#data < :data");
        assert_eq!(
            changes.expression(),
            "SET #data = :data, #status = if_not_exists(#status, :status), \
             #previous = if_not_exists(#hash, :previous) REMOVE #dataref ADD #attempts :attempts"
        );
        let mut names: Vec<_> = changes.names.into_keys().collect();
        names.sort();
        assert_eq!(
            names,
            [
                "#attempts",
                "#data",
                "#dataref",
                "#hash",
                "#previous",
                "#status"
            ]
        );
        let mut values: Vec<_> = changes.values.into_keys().collect();
        values.sort();
        assert_eq!(values, [":attempts", ":data", ":previous", ":status"]);
    }
}
