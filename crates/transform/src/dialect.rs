//! How expressions are read: DuckDB's operators and how strongly each binds.
//!
//! The parser's own dialects bind `||` like `*`, `^` weaker than `+`, and a minus sign weaker than `*`.

use std::any::TypeId;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use sqlparser::dialect::{Dialect, GenericDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// `||`, `&`, `|`, `<<`, `>>`, `^@`: weaker than `+`, stronger than comparisons.
const OTHER: u8 = 25;
/// `^` and `**`: stronger than `*`, weaker than a sign, to the left.
const POWER: u8 = 45;
/// As `LIKE`.
const MATCH: u8 = 19;
/// As `IS NULL`.
const NULL_TEST: u8 = 17;

/// The generic dialect with DuckDB's precedences and its operator `**`.
#[derive(Debug)]
pub(crate) struct DuckDb;

impl Dialect for DuckDb {
    /// The parser asks for the type of the dialect where it has no method to ask.
    fn dialect(&self) -> TypeId {
        GenericDialect {}.dialect()
    }

    fn is_identifier_start(&self, character: char) -> bool {
        character.is_alphabetic() || character == '_' || !character.is_ascii()
    }

    fn is_identifier_part(&self, character: char) -> bool {
        self.is_identifier_start(character) || character.is_ascii_digit() || character == '$'
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        // DuckDB knows the first, Flink the second.
        character == '"' || character == '`'
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        Some(Ok(match parser.peek_token_ref().token {
            Token::Caret => POWER,
            Token::Mul if is_power(parser) => POWER,
            Token::StringConcat
            | Token::CaretAt
            | Token::Ampersand
            | Token::Pipe
            | Token::ShiftLeft
            | Token::ShiftRight => OTHER,
            Token::Tilde
            | Token::ExclamationMarkTilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTildeAsterisk => MATCH,
            ref token if is_null_test(token) => NULL_TEST,
            // Not there: what follows an expression is named as such.
            Token::Word(ref word) if word.keyword == Keyword::GLOB => 0,
            _ => return None,
        }))
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let (op, binds) = match parser.peek_token_ref().token {
            Token::Minus => (UnaryOperator::Minus, POWER),
            Token::Plus => (UnaryOperator::Plus, POWER),
            Token::Tilde => (UnaryOperator::BitwiseNot, OTHER),
            Token::AtSign => (UnaryOperator::PGAbs, OTHER),
            _ => return None,
        };
        parser.next_token();
        let operand = parser.parse_subexpr(binds);
        Some(operand.map(|operand| Expr::UnaryOp { op, expr: Box::new(operand) }))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if is_null_test(&parser.peek_token_ref().token) {
            parser.next_token();
            return Some(Ok(Expr::IsNull(Box::new(left.clone()))));
        }
        let (op, tokens) = match parser.peek_token_ref().token {
            Token::Caret => (BinaryOperator::PGExp, 1),
            Token::Mul if is_power(parser) => (BinaryOperator::PGExp, 2),
            Token::CaretAt => (BinaryOperator::PGStartsWith, 1),
            _ => return None,
        };
        (0..tokens).for_each(|_| {
            parser.next_token();
        });
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| Expr::BinaryOp { left: Box::new(left.clone()), op, right: Box::new(right) }))
    }
}

/// Whether it is the word `ISNULL`, which the parser has no keyword for.
fn is_null_test(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull"))
}

/// Whether the next two tokens are `**`.
fn is_power(parser: &Parser) -> bool {
    parser.peek_nth_token_ref(1).token == Token::Mul
}
