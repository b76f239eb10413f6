//! A batch: named, typed columns of equal length.
//!
//! Made by `ingest`, widened by `transform`, and the shape of a window's rows of features too.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use serde::{Deserialize, Serialize};

use crate::DataType;

/// A column's name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Name as expressions use it; compared exactly.
    pub name: String,
    /// Type of its values, each of which may be NULL.
    pub data_type: DataType,
}

impl Field {
    /// A field of that name and type.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Field { name: name.into(), data_type }
    }
}

/// The columns of a batch, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schema {
    fields: Vec<Field>,
}

impl Schema {
    /// A schema of these fields, in this order.
    pub fn new(fields: Vec<Field>) -> Self {
        Schema { fields }
    }

    /// The fields, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Adds a field at the end.
    pub fn push(&mut self, field: Field) {
        self.fields.push(field);
    }

    /// Place of the field of that name. Of two with one name the later wins, so that a derived column
    /// hides the field that it was made from.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().rposition(|field| field.name == name)
    }
}

/// Columns of equal length under a schema.
#[derive(Debug, Clone)]
pub struct Batch {
    schema: Arc<Schema>,
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl Batch {
    /// A batch of `rows` rows.
    ///
    /// # Panics
    /// If the columns do not fit the schema in number or in length: a bug of the caller.
    pub fn new(schema: Arc<Schema>, columns: Vec<ArrayRef>, rows: usize) -> Self {
        assert_eq!(schema.fields().len(), columns.len(), "a column for each field");
        assert!(columns.iter().all(|column| column.len() == rows), "columns of equal length");
        Batch { schema, columns, rows }
    }

    /// What the columns are.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// All columns, in the order of the schema.
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// The column at that place of the schema.
    pub fn column(&self, index: usize) -> &ArrayRef {
        &self.columns[index]
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows `[start, start + rows)` without copying.
    pub fn slice(&self, start: usize, rows: usize) -> Batch {
        let columns = self.columns.iter().map(|column| column.slice(start, rows)).collect();
        Batch { schema: Arc::clone(&self.schema), columns, rows }
    }
}
