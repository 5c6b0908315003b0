import unittest

from greeter import greet


class TestGreet(unittest.TestCase):
    def test_name_is_in_the_greeting(self):
        self.assertEqual(greet("Ada"), "Hello, Ada!")
