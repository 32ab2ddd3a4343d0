"""The list of mutations, none of which is made here."""

from tests.mutation.mutate import ROOT, read_mutations


def test_every_mutation_can_be_made_and_names_tests_that_there_are():
    for mutation in read_mutations():
        assert mutation.new != mutation.old
        for test in mutation.tests:
            file, *names = test.split("::")
            assert (ROOT / file).exists(), test
            text = (ROOT / file).read_text() if names else ""
            assert all(f" {name}" in text for name in names), test
