"""The list of clauses that are never tripped alone names nothing else."""

from tests.falsify.clauses import NOT_ALONE, all_clauses


def test_each_clause_that_is_excepted_exists() -> None:
    excepted = NOT_ALONE.read_text().splitlines()
    assert excepted == sorted(set(excepted) & set(all_clauses()))
