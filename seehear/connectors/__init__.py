"""Retrievers for LangChain and LlamaIndex; each needs the extra of its framework.

from seehear.connectors.langchain import SeehearRetriever      # extra `langchain`
from seehear.connectors.llama_index import SeehearRetriever    # extra `llama-index`
"""
