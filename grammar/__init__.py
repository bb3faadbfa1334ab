"""The Lark grammars, as package data, and the script that makes parsers of them."""
